/**
 * Runs the tests of the repository: `node tools/dist/run-tests.js [--project NAME]… [PATTERN…]`.
 *
 * Two files run at a time, also those with guests and whole stacks, which wait more than they compute; what measures or
 * hurts a whole container engine has it alone. Everything that tests write goes below one folder, which is removed at the end; a
 * process that still refers to that folder was left behind by a test, and that is a failure. Logs of failed test files
 * are kept in `.cache/test-logs`. A few failed files are run a second time, and what passes then is told as flaky; it has failed. The last line is `N passed, N failed, N skipped`.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runJest, type Outcome } from './test-run/jest-project';
import { endLeftovers } from './test-run/leftovers';
import { keepLogs } from './test-run/logs';
import { afterSecondRun, deservesSecondRun } from './test-run/second-run';
import { skipReasons, summary } from './test-run/summary';

const root = resolve(__dirname, '..', '..');
const keptLogs = join(root, '.cache', 'test-logs');
const projects: Record<string, string[]> = {
  unit: ['--maxWorkers=2'],
  integration: ['--maxWorkers=2'],
  conformance: ['--maxWorkers=2'],
  containers: ['--runInBand'],
  'containers-hurt': ['--runInBand'],
};

/** What a platform of containers stands takes minutes to find out: that is done when it is asked for (npm run test:containers). */
const usual = Object.keys(projects).filter((name) => name !== 'containers-hurt');

function chosen(): { names: string[]; patterns: string[] } {
  const options = { project: { type: 'string', multiple: true, default: usual } } as const;
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const unknown = values.project.find((name) => !(name in projects));
  if (unknown) throw new Error(`there is no project ${unknown}; choose from ${Object.keys(projects).join(', ')}`);
  return { names: values.project, patterns: positionals };
}

/** Runs the projects and prints the report; true when all is well. */
async function run(names: string[], patterns: string[]): Promise<boolean> {
  // Short, since unix sockets live below it, and passable for a QEMU under another user.
  const folder = mkdtempSync(join(tmpdir(), 'vbt-'));
  chmodSync(folder, 0o711);
  const logs = join(folder, 'logs');
  const skips = join(folder, 'skips');
  mkdirSync(logs);
  rmSync(keptLogs, { recursive: true, force: true });
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort());

  const outcomes: Outcome[] = [];
  const leftovers: string[] = [];
  try {
    for (const name of names) {
      const options = [...(projects[name] ?? []), ...patterns];
      const env = { TMPDIR: folder, VIRTBUS_TEST_LOGS: logs, VIRTBUS_TEST_SKIPS: skips };
      const jest = (report: string, ...extra: string[]): Promise<Outcome> =>
        runJest({ root, project: name, options: extra, env, report: join(folder, report), signal: stopped.signal });
      let outcome = await jest(`${name}.json`, ...options);
      if (deservesSecondRun(outcome) && !stopped.signal.aborted) {
        const again = await jest(`${name}-again.json`, '--runInBand', '--runTestsByPath', ...outcome.failedFiles);
        outcome = afterSecondRun(outcome, again);
      }
      outcomes.push(outcome);
      leftovers.push(...(await endLeftovers(folder)));
      if (stopped.signal.aborted) break;
    }
    const kept = keepLogs(
      logs,
      keptLogs,
      outcomes.flatMap((outcome) => outcome.failedFiles),
    );
    const result = summary({ outcomes, leftovers, reasons: skipReasons(skips) });
    if (kept) result.lines.unshift(`logs of the failed tests: ${relative(root, keptLogs)}`);
    console.log(result.lines.join('\n'));
    return result.good;
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const { names, patterns } = chosen();
void run(names, patterns).then((good) => {
  process.exitCode = good ? 0 : 1;
});
