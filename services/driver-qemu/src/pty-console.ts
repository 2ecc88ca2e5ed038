/**
 * A console of the guest on a pseudo terminal: we hold its other end from before the first instruction, keep the last
 * output, and pass bytes on to whoever is connected.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { ReadStream } from 'node:tty';
import type { ConsoleChannel } from '@virtbus/driver-runtime';

/** Output kept for those who connect later, bytes. */
const keep = 262_144;

export class PtyConsole implements ConsoleChannel {
  private readonly listeners = new Set<(bytes: Uint8Array) => void>();
  private kept: Buffer[] = [];
  private keptBytes = 0;

  private constructor(
    readonly device: string,
    private readonly terminal: ReadStream,
  ) {
    terminal.on('data', (bytes: Buffer) => this.take(bytes));
    // The guest's end closes with its process: the guest itself tells of that.
    terminal.on('error', () => this.close());
  }

  /** @param path of the terminal, as `query-chardev` tells it: `/dev/pts/3`. */
  static async open(device: string, path: string): Promise<PtyConsole> {
    // Through libuv's tty, which reopens and polls it: a plain file read would block a thread for each console.
    // It must not become our controlling terminal: its end would then be ours, by SIGHUP.
    const file = await open(path, constants.O_RDWR | constants.O_NOCTTY);
    const terminal = new ReadStream(file.fd);
    terminal.unref();
    heldOpen.set(terminal, file);
    return new PtyConsole(device, terminal);
  }

  backlog(bytes: number): Uint8Array {
    const all = Buffer.concat(this.kept);
    return all.subarray(Math.max(0, all.length - bytes));
  }

  onOutput(listener: (bytes: Uint8Array) => void): () => void {
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
    this.listeners.clear();
  }

  private take(bytes: Buffer): void {
    this.kept.push(bytes);
    this.keptBytes += bytes.length;
    while (this.keptBytes - this.kept[0]!.length > keep) this.keptBytes -= this.kept.shift()!.length;
    for (const listener of this.listeners) listener(bytes);
  }
}

/** A file handle that is collected closes its descriptor: it must live as long as the stream upon it. */
const heldOpen = new WeakMap<ReadStream, unknown>();
