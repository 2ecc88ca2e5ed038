/**
 * The log file of one guest: what its hypervisor process writes, across starts.
 *
 * The process writes to the inherited descriptor (or to the path) itself, also while we are down. The file is therefore bounded when a guest
 * starts: a large one becomes `<name>.old`.
 */
import { closeSync, fstatSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs';

/** A log larger than this (bytes) is put aside at the next start. */
export const MAX_LOG_BYTES = 2 * 1024 * 1024;
const TAIL_BYTES = 4096;

export class GuestLog implements Disposable {
  private constructor(
    private readonly path: string,
    /** To be inherited by the child. */
    readonly fd: number,
    /** Where this start's own part begins, bytes. */
    readonly start: number,
  ) {}

  /** Opens the log for appending, readable by its owner only, and writes `header` as its first line. */
  static open(path: string, header: string, maxBytes = MAX_LOG_BYTES): GuestLog {
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > maxBytes) renameSync(path, `${path}.old`);
    const fd = openSync(path, 'a+', 0o600);
    writeSync(fd, `${header}\n`);
    return new GuestLog(path, fd, fstatSync(fd).size);
  }

  /** The end of what has been written since, at most 4 KiB, trimmed. Works after this log is closed. */
  tail(): string {
    const fd = openSync(this.path, 'r');
    try {
      const { size } = fstatSync(fd);
      const from = Math.max(this.start, size - TAIL_BYTES);
      const bytes = Buffer.alloc(Math.max(0, size - from));
      return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, from)).trim();
    } finally {
      closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}
