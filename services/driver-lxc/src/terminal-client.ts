/**
 * One `lxc-console` on a terminal of a container, as a pair of byte streams.
 *
 * It wants a terminal for itself: `script` (util-linux) gives it one. `script` types an end-of-file into that terminal when
 * its own input ends, which would end a shell in the container; so when ours does, because the session is over or because
 * we have died, the whole group is ended before `script` can see it.
 */
import { spawn, type ChildProcess } from 'node:child_process';

/** Fixed text: what differs comes in the environment. The escape character is one that no keyboard types. */
const command = `(cat; kill -TERM -$$) | exec script -qfc 'stty raw -echo; exec lxc-console -P "$LXC_PATH" -n "$LXC_NAME" -t "$LXC_TTY" -e "$LXC_ESCAPE"' /dev/null`;
/** The end of what lxc-console says before it passes bytes on. */
const ready = /to enter Ctrl\+.* itself\r*\n/;

export class TerminalClient {
  /** Settles when bytes can be typed; rejects when there is no terminal to be had. */
  readonly connected: Promise<void>;
  /** Resolves when it is over. */
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;

  constructor(where: { lxcPath: string; name: string; tty: number }, onOutput: (bytes: Buffer) => void) {
    this.child = spawn('/bin/sh', ['-c', command], {
      detached: true,
      env: {
        SHELL: '/bin/sh',
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        LXC_PATH: where.lxcPath,
        LXC_NAME: where.name,
        LXC_TTY: String(where.tty),
        LXC_ESCAPE: '\u00ff',
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const { stdin, stdout, stderr } = this.child;
    stdin!.on('error', () => undefined);
    stderr!.resume();
    this.ended = new Promise((resolve) => {
      this.child.once('close', () => resolve());
      this.child.once('error', () => resolve());
    });
    this.connected = new Promise((resolve, reject) => {
      let heading = '';
      const greet = (bytes: Buffer): void => {
        heading += bytes.toString('latin1');
        const end = ready.exec(heading);
        if (!end) return;
        stdout!.off('data', greet).on('data', onOutput);
        const rest = Buffer.from(heading.slice(end.index + end[0].length), 'latin1');
        resolve();
        if (rest.length > 0) onOutput(rest);
      };
      stdout!.on('data', greet);
      void this.ended.then(() => reject(new Error(heading.trim() || 'lxc-console has ended')));
    });
    this.connected.catch(() => undefined);
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.child.stdin!.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): void {
    this.child.stdin!.destroy();
  }
}
