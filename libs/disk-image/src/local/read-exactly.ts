/** Reads that give all bytes there are, not as many as one system call likes. */
import type { FileHandle } from 'node:fs/promises';
import { accessFailure } from './access-failure';

/** @throws VirtError SYSTEM_ERROR */
export async function readExactly(file: FileHandle, path: string, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file
      .read(bytes, done, length - done, offset + done)
      .catch((cause: unknown) => accessFailure(`Cannot read '${path}'`, cause));
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}
