/** Writing all of it: write(2) may write less than it was given, as at the end of a full disk, and says so only the next time. */
import type { FileHandle } from 'node:fs/promises';

/** @param at where in the file, bytes. Throws what the system says: ENOSPC, EIO. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}
