/** One `lxc-console` on a terminal of a container, as a pair of byte streams. */
import { onPseudoTerminal, type PseudoTerminal } from './pseudo-terminal';

/**
 * lxc-console's own escape, Ctrl+a: typed twice it is passed on once. Without one lxc-console does not say that it is ready, and it
 * takes none that is not a letter (lxc-console(1)).
 */
const escape = { asked: '^a', byte: 0x01 } as const;
/** The end of what lxc-console says before it passes bytes on. */
const ready = /to enter Ctrl\+.* itself\r*\n/;

export class TerminalClient {
  /** Settles when bytes can be typed; rejects when there is no terminal to be had. */
  readonly connected: Promise<void>;
  /** Resolves when it is over. */
  readonly ended: Promise<void>;
  private readonly terminal: PseudoTerminal;

  constructor(where: { lxcPath: string; name: string; tty: number }, onOutput: (bytes: Buffer) => Promise<void>) {
    const which = ['-P', where.lxcPath, '-n', where.name, '-t', String(where.tty), '-e', escape.asked];
    this.terminal = onPseudoTerminal(['lxc-console', ...which], {});
    const { child } = this.terminal;
    child.stderr.resume();
    this.ended = new Promise((resolve) => {
      child.once('close', () => resolve());
      child.once('error', () => resolve());
    });
    // Nothing more until it was dealt with: a terminal that nobody reads holds up who writes to it, as it does without us.
    const pass = (bytes: Buffer): void => {
      child.stdout.pause();
      void onOutput(bytes).then(() => child.stdout.resume());
    };
    this.connected = new Promise((resolve, reject) => {
      let heading = '';
      const greet = (bytes: Buffer): void => {
        heading += bytes.toString('latin1');
        const end = ready.exec(heading);
        if (!end) return;
        child.stdout.off('data', greet).on('data', pass);
        const rest = Buffer.from(heading.slice(end.index + end[0].length), 'latin1');
        resolve();
        if (rest.length > 0) pass(rest);
      };
      child.stdout.on('data', greet);
      void this.ended.then(() => reject(new Error(heading.trim() || 'lxc-console has ended')));
    });
    this.connected.catch(() => undefined);
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const typed = Uint8Array.from([...bytes].flatMap((byte) => (byte === escape.byte ? [byte, byte] : [byte])));
      this.terminal.child.stdin.write(typed, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** A hang-up for lxc-console: nothing is typed into the container. */
  close(): void {
    this.terminal.child.stdin.destroy();
  }
}
