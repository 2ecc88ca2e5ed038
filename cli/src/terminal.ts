/** Our own terminal, lent to a session inside a guest: raw while it lasts, and each new size of the window told. */
import type { TerminalSize } from '@virtbus/shared';
import type { Session } from './session';

/** What the window has now; what terminals usually have when there is none. */
export function windowSize(): TerminalSize {
  const { rows, columns } = process.stdout;
  return { rows: rows || 24, columns: columns || 80 };
}

/**
 * Keys go to the session as they are typed, Ctrl-C too.
 * @returns what gives the terminal its old mode back
 */
export function shareTerminal(session: Session, target: string, stream: string): () => void {
  const { stdin, stdout } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  // A window that cannot be told of is no reason to end the session.
  const tell = (): void =>
    void session.call('resizeTerminal', { session: stream, ...windowSize() }, target).catch(() => undefined);
  if (stdout.isTTY) {
    tell();
    stdout.on('resize', tell);
  }
  return () => {
    stdout.off('resize', tell);
    if (stdin.isTTY) stdin.setRawMode(false);
  };
}
