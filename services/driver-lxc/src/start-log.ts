/**
 * What liblxc's log tells of one start: which process became init, whether it was started again, how it ended.
 *
 * The log is written by the container's own supervisor, also while we are down, so what happened meanwhile is read from
 * it afterwards. Lines are those of liblxc 4 to 6 at level DEBUG (`start.c`, `error.c`).
 */
import { closeSync, fstatSync, openSync, readSync, watch, type FSWatcher } from 'node:fs';

export interface StartLog {
  /** Each process that became init, the first boot first: one more for every reboot from inside. */
  readonly inits: readonly number[];
  /** How the last init ended, once it has; a clean exit is status 0. */
  readonly end: { exitStatus: number } | { signal: number } | undefined;
  /** What went wrong, in liblxc's words, the cause first. */
  readonly errors: readonly string[];
}

const line = /^\S+ .* (?<level>[A-Z]+) +\S+ - \S+:\d+ - (?<text>.*)$/;
const started = /^Started ".*" with pid "(\d+)"$/;
const exited = /^Container init process (\d+) exited$/;
const failed = /^Child <(\d+)> ended on error \((\d+)\)$/;
const killed = /^Child <(\d+)> ended on signal .*\((\d+)\)$/;

/** @param text what liblxc has written since this start */
export function parseStartLog(text: string): StartLog {
  const inits: number[] = [];
  const errors: string[] = [];
  let end: StartLog['end'];
  for (const each of text.split('\n')) {
    const { level, text: words } = line.exec(each)?.groups ?? {};
    if (words === undefined) continue;
    if (level === 'ERROR') errors.push(words);
    const last = inits.at(-1);
    const [, pid, number] = started.exec(words) ?? exited.exec(words) ?? failed.exec(words) ?? killed.exec(words) ?? [];
    if (pid === undefined) continue;
    if (started.test(words)) {
      inits.push(Number(pid));
      end = undefined;
    } else if (Number(pid) !== last) continue;
    else if (exited.test(words)) end ??= { exitStatus: 0 };
    else end = failed.test(words) ? { exitStatus: Number(number) } : { signal: Number(number) };
  }
  return { inits, end, errors };
}

/** The log from a place on; empty when the file is gone. */
export function readStartLog(path: string, from: number): StartLog {
  return parseStartLog(textFrom(path, from));
}

/** The first line of each start, which is ours. */
export const startHeading = (): string => `${new Date().toISOString()}: starting up`;

/** Where the log of the last start begins, bytes. */
export function lastStartIn(path: string): number {
  const bytes = Buffer.from(textFrom(path, 0));
  const heading = bytes.lastIndexOf(': starting up\n');
  return heading < 0 ? 0 : bytes.indexOf('\n', heading) + 1;
}

/** The text of a file from a place on, `most` bytes of its end at most; empty when there is none. */
export function textFrom(path: string, from: number, most = Number.POSITIVE_INFINITY): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return '';
  }
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(from, size - most, 0);
    const bytes = Buffer.alloc(Math.max(0, size - start));
    const read = readSync(fd, bytes, 0, bytes.length, start);
    return bytes.toString('utf8', 0, read);
  } finally {
    closeSync(fd);
  }
}

/** Calls back whenever a file has grown. */
export function onGrowth(path: string, changed: () => void): Disposable {
  const watcher: FSWatcher = watch(path, { persistent: false }, changed);
  // A file that is taken away tells no more; its reader looks at the process then.
  watcher.on('error', () => watcher.close());
  return { [Symbol.dispose]: () => watcher.close() };
}
