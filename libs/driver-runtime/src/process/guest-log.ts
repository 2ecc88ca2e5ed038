/**
 * The log file of one guest: what its hypervisor process writes, across starts.
 *
 * The process writes to the inherited descriptor (or to the path) itself, also while we are down. The file is therefore bounded when a guest
 * starts: a large one becomes `<name>.old`.
 */
import { open, rename, stat, type FileHandle } from 'node:fs/promises';

/** A log larger than this (bytes) is put aside at the next start. */
export const MAX_LOG_BYTES = 2 * 1024 * 1024;
const TAIL_BYTES = 4096;

export class GuestLog implements AsyncDisposable {
  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    /** Where this start's own part begins, bytes. */
    readonly start: number,
  ) {}

  /** Opens the log for appending, readable by its owner only, and writes `header` as its first line. */
  static async open(path: string, header: string, maxBytes = MAX_LOG_BYTES): Promise<GuestLog> {
    const size = await stat(path).then(
      (found) => found.size,
      () => 0,
    );
    if (size > maxBytes) await rename(path, `${path}.old`);
    const file = await open(path, 'a+', 0o600);
    await file.appendFile(`${header}\n`);
    return new GuestLog(path, file, (await file.stat()).size);
  }

  /** To be inherited by the child. */
  get fd(): number {
    return this.file.fd;
  }

  /** The end of what has been written since, at most 4 KiB, trimmed. Works after this log is closed. */
  async tail(): Promise<string> {
    await using file = await open(this.path);
    const { size } = await file.stat();
    const from = Math.max(this.start, size - TAIL_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.max(0, size - from)), 0, null, from);
    return buffer.toString('utf8', 0, bytesRead).trim();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.file.close();
  }
}
