/** Programs of the host that the driver runs, and what they say when they fail. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { VirtError } from '@virtbus/shared';

const run = promisify(execFile);

/** Its output without blanks around it. Throws `SYSTEM_ERROR` with what was run and the program's words. */
export async function output(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await run(program, args)).stdout.trim();
  } catch (cause) {
    const detail = `${program} ${args.join(' ')}: ${wordsOf(cause)}`;
    throw new VirtError('SYSTEM_ERROR', { detail }, { cause });
  }
}

/** How long a container may keep a program waiting, milliseconds. */
const patienceMs = 10_000;

/**
 * The same of a program that goes where a container decides how long things take. A file system of its own that gives no answer (fuse(4))
 * holds whoever opens a path through it, or reads what is mapped from it, and not even SIGKILL ends that: such a program is left alone
 * until the container ends. Throws `OPERATION_FAILED` with `what` and why.
 */
export async function outputInside(program: string, args: readonly string[], what: string): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C' };
  // A group of its own: it is ended with what it has started.
  const child = spawn(program, args, { detached: true, cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'] });
  const fail = (why: string): never => {
    throw new VirtError('OPERATION_FAILED', { detail: `${what}: ${why}` });
  };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), patienceMs)));
  const ended = new Promise<string>((resolve) => {
    child.once('error', ({ message }) => resolve(message));
    child.once('exit', (code, signal) => resolve(code === 0 ? '' : `it ended with ${signal ?? code}`));
  });
  const said = Promise.all([ended, text(child.stdout), text(child.stderr)]);
  said.catch(() => undefined);
  try {
    const all = await Promise.race([said, late]);
    if (all === 'late') return fail(`the container has kept ${program} waiting for ${patienceMs / 1_000} seconds`);
    const [why, out, errors] = all;
    return why === '' ? out.trim() : fail(errors.trim() || why);
  } finally {
    clearTimeout(timer);
    if (child.exitCode === null && child.signalCode === null) giveUp(child);
  }
}

function giveUp(child: ChildProcess): void {
  if (child.pid !== undefined) {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.unref();
}

/** What a program that failed has said, or else what became of it. */
export function wordsOf(failure: unknown): string {
  const { stderr, message } = failure as { stderr?: string; message: string };
  return stderr?.trim() || message;
}

/** One word of a shell. */
export const shellWord = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;
