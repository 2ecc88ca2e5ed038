/** Keeps the logs of processes that failed tests had started; the test kit files them by test file. */
import { cpSync, existsSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Copies the logs of these test files from one folder to another; true when there were any. */
export function keepLogs(from: string, to: string, testFiles: readonly string[]): boolean {
  const withLogs = testFiles.map((path) => basename(path)).filter((name) => existsSync(join(from, name)));
  for (const name of withLogs) cpSync(join(from, name), join(to, name), { recursive: true });
  return withLogs.length > 0;
}
