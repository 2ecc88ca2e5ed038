/** One project of jest, run to its end, and what came of it. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

export interface Outcome {
  project: string;
  passed: number;
  failed: number;
  /** Full names of tests that were skipped, with the title they were declared by. */
  skipped: { name: string; title: string }[];
  failedFiles: string[];
  /** Full names of the tests that failed. */
  failures: string[];
  /** Full names of tests that failed, and passed when their file was run again alone. */
  flaky: string[];
  /** What went wrong with the run itself; each counts as a failure. */
  problems: string[];
}

/** The part of jest's report (`--json`) that we read. */
export interface JestReport {
  numPassedTests: number;
  numFailedTests: number;
  testResults: {
    name: string;
    status: string;
    assertionResults: { status: string; fullName: string; title: string }[];
  }[];
}

interface Run {
  root: string;
  project: string;
  /** Options and path patterns for jest. */
  options: readonly string[];
  env: Record<string, string>;
  /** Where jest is to put its report. */
  report: string;
  /** Aborted when the run is to end; what its tests had started is the caller's to end then. */
  signal: AbortSignal;
}

/** After its report jest has nothing left to do: one that stays was kept from ending by an open handle of a test. */
const endMs = 20_000;

export async function runJest({ root, project, options, env, report, signal }: Run): Promise<Outcome> {
  const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  const args = [jest, '--selectProjects', project, '--passWithNoTests', '--json', '--outputFile', report, ...options];
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'], // what is meant for people goes to stderr
  });
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop);
  let hung = false;
  let reportedAt: number | undefined;
  const watch = setInterval(() => {
    if (existsSync(report)) reportedAt ??= Date.now();
    if (reportedAt === undefined || Date.now() - reportedAt < endMs || hung) return;
    hung = true;
    child.kill('SIGKILL');
  }, 500);
  const code = await new Promise<number | null>((resolve, reject) => child.once('exit', resolve).once('error', reject));
  clearInterval(watch);
  signal.removeEventListener('abort', stop);

  const problems: string[] = [];
  if (hung)
    problems.push(`jest did not end ${endMs / 1000} s after the ${project} tests: one of them leaves a handle open`);
  if (!existsSync(report)) {
    problems.push(`the ${project} tests ended without a report (exit code ${String(code)})`);
    return { project, passed: 0, failed: 0, skipped: [], failedFiles: [], failures: [], flaky: [], problems };
  }
  const outcome = read(project, JSON.parse(readFileSync(report, 'utf8')) as JestReport, problems);
  if (code !== 0 && outcome.failed + problems.length === 0) problems.push(`jest failed (exit code ${String(code)})`);
  return outcome;
}

/** Counts a report; a test file that could not even be loaded is a problem of its own. */
export function read(project: string, report: JestReport, problems: string[] = []): Outcome {
  const failed = report.testResults.filter((file) => file.status === 'failed');
  for (const file of failed) {
    if (!file.assertionResults.some((test) => test.status === 'failed'))
      problems.push(`could not run ${relative(process.cwd(), file.name)}`);
  }
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  return {
    project,
    passed: report.numPassedTests,
    failed: report.numFailedTests,
    skipped: tests
      .filter((test) => test.status !== 'passed' && test.status !== 'failed')
      .map((test) => ({ name: test.fullName, title: test.title })),
    failedFiles: failed.map((file) => file.name),
    failures: tests.filter((test) => test.status === 'failed').map((test) => test.fullName),
    flaky: [],
    problems,
  };
}
