/** The end of a test run: what was skipped and why, what went wrong beside the tests, and the count as the last line. */
import { existsSync, readFileSync } from 'node:fs';
import type { Outcome } from './jest-project';

export interface Result {
  lines: string[];
  good: boolean;
}

interface Findings {
  outcomes: readonly Outcome[];
  /** Processes that tests left running. */
  leftovers: readonly string[];
  /** Title of a skipped test → what it needs. */
  reasons: ReadonlyMap<string, string>;
}

export function summary({ outcomes, leftovers, reasons }: Findings): Result {
  const skipped = outcomes.flatMap((outcome) => outcome.skipped);
  const problems = [
    ...outcomes.flatMap((outcome) => outcome.problems),
    ...leftovers.map((process) => `a test left this running: ${process}`),
  ];
  const sum = (count: (outcome: Outcome) => number): number => outcomes.reduce((n, outcome) => n + count(outcome), 0);
  const passed = sum((outcome) => outcome.passed);
  const failed = sum((outcome) => outcome.failed) + problems.length;
  return {
    lines: [
      ...skipped.map(({ name, title }) => `skipped: ${name}: ${reason(reasons.get(title))}`),
      ...outcomes
        .flatMap(({ flaky }) => flaky)
        .map((name) => `flaky: ${name}: failed, and passed when run again alone`),
      ...problems.map((problem) => `failed: ${problem}`),
      `${passed} passed, ${failed} failed, ${skipped.length} skipped`,
    ],
    good: failed === 0,
  };
}

function reason(needs: string | undefined): string {
  return needs === undefined ? 'no reason given' : `needs ${needs}`;
}

/** Reads the notes that the test kit leaves for each test it skips: one `{test, needs}` a line. */
export function skipReasons(file: string): Map<string, string> {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  return new Map(
    lines.map((line) => {
      const { test, needs } = JSON.parse(line) as { test: string; needs: string };
      return [test, needs];
    }),
  );
}
