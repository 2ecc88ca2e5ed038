/**
 * A command inside a container, as if it ran here: our standard input is its own, what it writes comes out at the same
 * places, and its exit code becomes ours. With a terminal inside, ours is raw for as long and its window is that one's.
 */
import { shareTerminal, windowSize } from './terminal';
import { busModule, shared } from './lazy';
import type { Output } from './output';
import type { Session } from './session';
import { fail } from './failure';

/** Ends the program with a code that is not ours to choose. */
export class ExitWith extends Error {
  override readonly name = 'ExitWith';

  constructor(readonly code: number) {
    super(`exit code ${code}`);
  }
}

export interface ExecRequest {
  command: string[];
  env: Record<string, string>;
  uid?: number;
  gid?: number;
  /** Pass our standard input on; without it the command's is empty. */
  input: boolean;
  /** Give it a terminal. */
  tty: boolean;
}

export async function execInside(session: Session, out: Output, target: string, how: ExecRequest): Promise<void> {
  const { clientStream, newId } = busModule();
  const { exitCodeOf } = shared();
  const bus = await session.bus();
  const ids = { session: newId(), errors: newId() };
  const output = clientStream(bus, ids.session, (bytes) => out.write(bytes));
  const errors = clientStream(bus, ids.errors, (bytes) => out.writeError(bytes));
  const { input, tty, ...asked } = how;
  const request = tty ? { ...asked, terminal: windowSize(), env: { ...localTerm(), ...asked.env } } : asked;
  const begun = await session.call('execInDomain', { ...request, ...ids }, target).catch((error: unknown) => {
    output.end();
    errors.end();
    throw error;
  });
  output.connect(begun.input);
  const backFromTerminal = tty ? shareTerminal(session, target, ids.session) : () => undefined;
  const stopInput = input ? passInput(output) : (await output.finish(), () => undefined);
  const leave = (): void => output.end('left');
  process.once('SIGINT', leave);
  process.once('SIGTERM', leave);
  let end: string;
  try {
    end = await output.ended;
  } finally {
    stopInput();
    backFromTerminal();
    process.off('SIGINT', leave).off('SIGTERM', leave);
    errors.end();
  }
  const code = exitCodeOf(end);
  if (code === undefined) throw fail('RPC', { detail: `the command in domain '${target}' was lost: ${end}` });
  if (code !== 0) throw new ExitWith(code);
}

/** Ours to the command's, at the pace that it reads; our end of file is its end of file. */
function passInput(stream: { write(bytes: Uint8Array): Promise<void>; finish(): Promise<void> }): () => void {
  const { stdin } = process;
  const send = (bytes: Buffer): void => {
    stdin.pause();
    void stream.write(bytes).then(() => stdin.resume());
  };
  const finish = (): void => void stream.finish();
  stdin.on('data', send).once('end', finish);
  return () => {
    stdin.off('data', send).off('end', finish).pause();
    stdin.unref?.();
  };
}

/** Programs inside draw for the kind of terminal that we are on. */
const localTerm = (): Record<string, string> => (process.env.TERM ? { TERM: process.env.TERM } : {});
