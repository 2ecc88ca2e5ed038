/** Where uploaded content lands: a new file, which keeps of the old one what the upload leaves out; or a device. */
import { open, stat, type FileHandle } from 'node:fs/promises';
import { VirtError } from '@virtbus/shared';
import { RecordReader } from '@virtbus/shared/bus';
import { extentsOf } from './extents';
import { writeAll } from '../write-all';

const step = 1024 * 1024;

export interface Range {
  /** First byte. */
  offset: number;
  /** Bytes; 0 is as many as come. */
  length: number;
}

export class Reception {
  private position: number;
  private readonly limit: number;
  private whole = false;
  private failure: Error | undefined;
  private wake: () => void = () => undefined;
  private readonly reader = new RecordReader({
    data: (bytes) => this.write(bytes, bytes.length),
    hole: (length) => this.skip(length),
    end: () => void (this.whole = true),
  });

  /**
   * @param old the volume as it is; undefined for a device, which keeps by itself what is not written
   * @param deviceSize bytes
   */
  private constructor(
    private readonly file: FileHandle,
    private readonly old: { path: string; size: number } | undefined,
    private readonly range: Range,
    deviceSize = Infinity,
  ) {
    this.position = range.offset;
    this.limit = Math.min(deviceSize, range.length === 0 ? Infinity : range.offset + range.length);
  }

  static async intoFile(temporary: string, path: string, range: Range): Promise<Reception> {
    const { size } = await stat(path);
    return new Reception(await open(temporary, 'wx', 0o600), { path, size }, range);
  }

  static async intoDevice(path: string, range: Range, size: number): Promise<Reception> {
    return new Reception(await open(path, 'r+'), undefined, range, size);
  }

  /** Bytes of the stream. */
  async push(bytes: Uint8Array): Promise<void> {
    try {
      await this.reader.push(bytes);
    } catch (error) {
      this.failure ??= error instanceof Error ? error : new Error(String(error));
      throw this.failure;
    } finally {
      if (this.whole || this.failure !== undefined) this.wake();
    }
  }

  /** Waits for the end of the content; throws when the stream is over before, or brought what cannot be taken. */
  async finished(ended: Promise<string>): Promise<void> {
    const over = new Promise<undefined>((resolve) => (this.wake = () => resolve(undefined)));
    const reason = this.whole || this.failure !== undefined ? undefined : await Promise.race([ended, over]);
    if (this.failure !== undefined) throw this.failure;
    if (!this.whole) throw new VirtError('OPERATION_ABORTED', { detail: `the upload was cut: ${reason}` });
    if (this.old) await this.keepRest(this.old);
    await this.file.sync();
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private async write(bytes: Uint8Array, length: number): Promise<void> {
    await writeAll(this.file, bytes.subarray(0, length), this.advance(length));
  }

  /** In a new file nothing need be done for zeros. */
  private async skip(length: number): Promise<void> {
    if (this.old) return void this.advance(length);
    const zeros = Buffer.alloc(Math.min(step, length));
    for (let left = length; left > 0; left -= zeros.length) await this.write(zeros, Math.min(left, zeros.length));
  }

  /** Where the next bytes go. */
  private advance(length: number): number {
    const at = this.position;
    if (at + length > this.limit)
      throw new VirtError('INVALID_ARG', {
        detail: `more came than there is room for: ${this.limit - this.range.offset} bytes`,
      });
    this.position += length;
    return at;
  }

  private async keepRest({ path, size }: { path: string; size: number }): Promise<void> {
    await this.file.truncate(Math.max(size, this.position));
    const source = await open(path, 'r');
    try {
      const kept = [
        ...(await extentsOf(path, 0, Math.min(this.range.offset, size))),
        ...(await extentsOf(path, this.position, size)),
      ];
      const buffer = Buffer.alloc(step);
      for (const { start, length, data } of kept) {
        for (let at = start; data && at < start + length; at += step) {
          const wanted = Math.min(step, start + length - at);
          const { bytesRead } = await source.read(buffer, 0, wanted, at);
          if (bytesRead < wanted) throw new Error(`${path} has become shorter`);
          await writeAll(this.file, buffer.subarray(0, bytesRead), at);
        }
      }
    } finally {
      await source.close();
    }
  }
}
