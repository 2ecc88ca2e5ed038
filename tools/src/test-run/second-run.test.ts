import type { Outcome } from './jest-project';
import { afterSecondRun, deservesSecondRun } from './second-run';
import { summary } from './summary';

const outcome = (failures: string[], passed: number, more: Partial<Outcome> = {}): Outcome => ({
  project: 'integration',
  passed,
  failed: failures.length,
  skipped: [],
  failedFiles: failures.map((name) => `/${name}.test.ts`),
  failures,
  flaky: [],
  problems: [],
  ...more,
});

test('what passes when run again alone is flaky: told by name, and failed all the same', () => {
  const both = afterSecondRun(outcome(['starts', 'stops'], 8), outcome([], 5));
  expect(both).toMatchObject({ passed: 8, failed: 2, flaky: ['starts', 'stops'] });
  const { good, lines } = summary({ outcomes: [both], leftovers: [], reasons: new Map() });
  expect(good).toBe(false);
  expect(lines).toContain('flaky: starts: failed, and passed when run again alone');
  expect(lines.at(-1)).toBe('8 passed, 2 failed, 0 skipped');
});

test('what fails again has failed, and so has what fails only then', () => {
  const again = outcome(['stops', 'pauses'], 3);
  const both = afterSecondRun(outcome(['starts', 'stops'], 8), again);
  expect(both).toMatchObject({ passed: 7, failed: 3, flaky: ['starts'], failures: ['starts', 'stops', 'pauses'] });
});

test('many failures, or a run that broke, are no chance', () => {
  expect(deservesSecondRun(outcome(['a', 'b', 'c'], 1))).toBe(true);
  expect(deservesSecondRun(outcome(['a', 'b', 'c', 'd'], 1))).toBe(false);
  expect(deservesSecondRun(outcome(['a'], 1, { problems: ['jest did not end'] }))).toBe(false);
  expect(deservesSecondRun(outcome([], 1))).toBe(false);
});
