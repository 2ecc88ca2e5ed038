/**
 * A person's or a script's end of a serial console.
 *
 * The stream is listened to before it is opened, so that no byte is missed. A terminal is in raw mode for as long as it
 * is attached and gets its old mode back on every way out.
 */
import { busModule } from './lazy';
import type { Output } from './output';
import type { Session } from './session';
import { flag, longestSeconds, number, UsageError, value } from './spec';
import { fail } from './failure';
import { shareTerminal } from './terminal';

export const consoleOptions = {
  devname: value('ALIAS', 'which console: serial0, …; the first when left out'),
  force: flag('end another session on this console'),
  for: number('SECONDS', 'leave after this long', 0.001, true),
  escape: value('CHAR', "the key that leaves, ^] when left out: '^' and a letter, or one character"),
};

interface Attach {
  devname?: string | undefined;
  force?: boolean;
  for?: number | undefined;
  escape?: string | undefined;
}

/** Why a stream ended that nobody wished to end. */
const broken = /lost|silent/;

export async function attachConsole(session: Session, out: Output, target: string, how: Attach): Promise<void> {
  const escape = escapeByte(how.escape ?? '^]');
  const { clientStream, newId } = busModule();
  const id = newId();
  // The host begins with what it has kept; that is shown below the words that say where it comes from.
  let held: Uint8Array[] | undefined = [];
  const stream = clientStream(await session.bus(), id, (bytes) => void (held ? held.push(bytes) : out.write(bytes)));
  const request = { session: id, force: how.force ?? false, ...(how.devname ? { device: how.devname } : {}) };
  const opened = await session.call('openConsole', request, target).catch((error: unknown) => {
    stream.end();
    throw error;
  });
  stream.connect(opened.input);
  const { stdin } = process;
  const terminal = stdin.isTTY === true;
  out.note(`Connected to domain '${target}'`);
  if (terminal) out.note(`Escape character is ${how.escape ?? '^]'}`);
  for (const bytes of held.splice(0)) out.write(bytes);
  held = undefined;

  let left = false;
  const leave = (): void => {
    left = true;
    stream.end('left');
  };
  const send = (bytes: Buffer): void => {
    const stop = terminal ? bytes.indexOf(escape) : -1;
    stdin.pause();
    void stream.write(stop < 0 ? bytes : bytes.subarray(0, stop)).then(() => (stop < 0 ? stdin.resume() : leave()));
  };
  const timer = how.for === undefined ? undefined : setTimeout(leave, Math.min(how.for, longestSeconds()) * 1_000);
  // Signals reach the process only when the terminal is not raw, or from outside.
  process.once('SIGINT', leave);
  process.once('SIGTERM', leave);
  const backFromTerminal = terminal ? shareTerminal(session, target, id) : () => undefined;
  stdin.on('data', send);
  let reason: string;
  try {
    reason = await stream.ended;
  } finally {
    clearTimeout(timer);
    stdin.off('data', send).pause();
    stdin.unref?.();
    backFromTerminal();
    process.off('SIGINT', leave).off('SIGTERM', leave);
  }
  if (terminal) out.note('');
  if (left) return;
  if (broken.test(reason)) {
    throw fail('RPC', { detail: `the console of domain '${target}' ended: ${reason}` });
  }
  out.note(`Console of domain '${target}' ended: ${reason}`);
}

/** `^]` is byte 29. */
export function escapeByte(text: string): number {
  const control = /^\^([@-_a-z])$/.exec(text)?.[1];
  if (control) return control.toUpperCase().charCodeAt(0) & 31;
  if (/^[\u0000-\u007f]$/.test(text)) return text.charCodeAt(0);
  throw new UsageError(`--escape: '${text}' is not a key; write ^] or one character`);
}
