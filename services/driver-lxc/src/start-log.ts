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

/** Errors that are kept: the cause comes first. */
const errorsKept = 8;

/** Read at a time, bytes. */
const pieceBytes = 4 * 1024 ** 2;

interface Story {
  inits: number[];
  end: StartLog['end'];
  errors: string[];
}

/** @param text what liblxc has written since this start */
export function parseStartLog(text: string): StartLog {
  const story: Story = { inits: [], end: undefined, errors: [] };
  for (const each of text.split('\n')) take(story, each);
  return story;
}

function take(story: Story, text: string): void {
  const { level, text: words } = line.exec(text)?.groups ?? {};
  if (words === undefined) return;
  if (level === 'ERROR' && story.errors.length < errorsKept) story.errors.push(words);
  const last = story.inits.at(-1);
  const [, pid, number] = started.exec(words) ?? exited.exec(words) ?? failed.exec(words) ?? killed.exec(words) ?? [];
  if (pid === undefined) return;
  if (started.test(words)) {
    story.inits.push(Number(pid));
    story.end = undefined;
  } else if (Number(pid) !== last) return;
  else if (exited.test(words)) story.end ??= { exitStatus: 0 };
  else story.end = failed.test(words) ? { exitStatus: Number(number) } : { signal: Number(number) };
}

/** The log of one start while it grows: each line is read once, however often it is looked at. */
export class StartLogReader {
  private readonly story: Story = { inits: [], end: undefined, errors: [] };
  /** Where the part begins that told of a boot last, and how many were known before it. */
  private last: { from: number; known: number };

  /** @param at where this start's own part begins, bytes */
  constructor(
    private readonly path: string,
    private at: number,
  ) {
    this.last = { from: at, known: 0 };
  }

  /** Where what is told of boots could begin, bytes: all before it tells of earlier ones. */
  get lastBootFrom(): number {
    return this.last.from;
  }

  /** All that has been told until now; nothing when the file is gone. */
  read(): StartLog {
    while (this.readPiece());
    return this.story;
  }

  /** A piece at a time: while nobody looked it may have grown to more than fits into a text. @returns whether there is more */
  private readPiece(): boolean {
    const [from, known] = [this.at, this.story.inits.length];
    const { bytes } = bytesWithin(this.path, (size) => [from, Math.min(size, from + pieceBytes)]);
    const isFull = bytes.length === pieceBytes;
    const whole = bytes.lastIndexOf('\n') + 1;
    // A piece without the end of a line is nothing that liblxc has written.
    const done = isFull && whole === 0 ? pieceBytes : whole;
    this.at += done;
    for (const each of bytes.toString('utf8', 0, whole).split('\n')) take(this.story, each);
    if (this.story.inits.length > known) this.last = { from, known };
    return isFull;
  }

  /** As one that begins at `lastBootFrom` would have read. @returns how many boots it knows then */
  forgetEarlier(): number {
    this.story.inits.splice(0, this.last.known);
    this.last.known = 0;
    return this.story.inits.length;
  }
}

/** The log from a place on; empty when the file is gone. */
export function readStartLog(path: string, from: number): StartLog {
  return new StartLogReader(path, from).read();
}

/** The first line of each start, which is ours. */
export const startHeading = (): string => `${new Date().toISOString()}: starting up`;

/** Where the log of the last start begins, bytes. */
export function lastStartIn(path: string): number {
  const { bytes } = bytesFrom(path, 0);
  const heading = bytes.lastIndexOf(': starting up\n');
  return heading < 0 ? 0 : bytes.indexOf('\n', heading) + 1;
}

/** The text of a file from a place on, `most` bytes of its end at most; empty when there is none. */
export function textFrom(path: string, from: number, most = Number.POSITIVE_INFINITY): string {
  return bytesFrom(path, from, most).bytes.toString('utf8');
}

/** The same as it is in the file, and where in it that ends. */
export function bytesFrom(path: string, from: number, most = Number.POSITIVE_INFINITY): { bytes: Buffer; end: number } {
  return bytesWithin(path, (size) => [Math.max(from, size - most, 0), size]);
}

/** @param within the first byte and the one after the last, of a file of that size */
export function bytesWithin(path: string, within: (size: number) => [number, number]): { bytes: Buffer; end: number } {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return { bytes: Buffer.alloc(0), end: 0 };
  }
  try {
    const [start, end] = within(fstatSync(fd).size);
    const bytes = Buffer.alloc(Math.max(0, end - start));
    const read = readSync(fd, bytes, 0, bytes.length, start);
    return { bytes: bytes.subarray(0, read), end: start + read };
  } finally {
    closeSync(fd);
  }
}

/** Calls back when a file has grown: once for what was written in one go. */
export function onGrowth(path: string, changed: () => void): Disposable {
  let pending: NodeJS.Immediate | undefined;
  const look = (): void => {
    pending = undefined;
    changed();
  };
  const watcher: FSWatcher = watch(path, { persistent: false }, () => (pending ??= setImmediate(look)));
  // A file that is taken away tells no more; its reader looks at the process then.
  watcher.on('error', () => watcher.close());
  return {
    [Symbol.dispose]: () => {
      clearImmediate(pending);
      watcher.close();
    },
  };
}
