/**
 * A console of the guest on a pseudo terminal: we hold its other end from before the first instruction, keep the last
 * output, and pass bytes on to whoever is connected.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import type { ConsoleChannel } from '@virtbus/driver-runtime';

/** Output kept for those who connect later, bytes. */
const keep = 262_144;

export class PtyConsole implements ConsoleChannel {
  private readonly listeners = new Set<Parameters<ConsoleChannel['onOutput']>[0]>();
  private kept: Buffer[] = [];
  private keptBytes = 0;

  private constructor(
    readonly device: string,
    private readonly terminal: ReadStream,
  ) {
    terminal.on('data', (bytes: Buffer) => this.take(bytes));
    // The guest's end closes with its process: the guest itself tells of that.
    terminal.on('error', () => undefined);
    terminal.on('close', () => this.listeners.clear());
  }

  /** @param path of the terminal, as `query-chardev` tells it: `/dev/pts/3`. */
  static open(device: string, path: string): PtyConsole {
    // Through libuv's tty, which polls it: a plain file read would block a thread for each console.
    // It must not become our controlling terminal: its end would then be ours, by SIGHUP.
    const fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
    let terminal: ReadStream | undefined;
    try {
      terminal = new ReadStream(fd);
      terminal.unref();
      return new PtyConsole(device, terminal);
    } finally {
      // libuv has opened it a second time and closes only that; ours it keeps where it could not.
      if (descriptorOf(terminal) !== fd) closeSync(fd);
    }
  }

  backlog(bytes: number): Uint8Array {
    const all = Buffer.concat(this.kept);
    return all.subarray(Math.max(0, all.length - bytes));
  }

  onOutput(listener: Parameters<ConsoleChannel['onOutput']>[0]): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.terminal.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): void {
    this.terminal.destroy();
  }

  private take(bytes: Buffer): void {
    this.kept.push(bytes);
    this.keptBytes += bytes.length;
    while (this.keptBytes - this.kept[0]!.length > keep) this.keptBytes -= this.kept.shift()!.length;
    // Nobody is waited for: a guest stands still over a terminal that is not read.
    for (const listener of this.listeners) void listener(bytes);
  }
}

/** What a terminal is read through. Node has no public name for it. */
function descriptorOf(terminal: ReadStream | undefined): number | undefined {
  return (terminal as unknown as { _handle: { fd: number } } | undefined)?._handle.fd;
}
