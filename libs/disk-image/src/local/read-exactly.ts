/** Reads that give all bytes there are, not as many as one system call likes. */
import { accessFailure } from './access-failure';
import type { OpenFile } from './file-access';

/** @throws VirtError SYSTEM_ERROR */
export async function readExactly(
  file: Pick<OpenFile, 'read'>,
  path: string,
  offset: number,
  length: number,
): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  try {
    while (done < length) {
      const count = await file.read(bytes, done, length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
  } catch (cause) {
    accessFailure(`Cannot read '${path}'`, cause);
  }
  return bytes.subarray(0, done);
}
