/** Writes the missing backing format into an overlay on disk. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { VirtError, type ImageFormat } from '@virtbus/shared';
import { accessFailure } from '../local/access-failure';
import { planBackingFormat } from './record-backing-format';

/**
 * Records the format of the image below in a qcow2 overlay. The caller knows that it is right, and that nobody uses the overlay.
 * A power cut leaves the image as it was, or repaired.
 * @throws VirtError OPERATION_INVALID when there is no backing file, a format already, or no room; IMAGE_INVALID; SYSTEM_ERROR
 */
export async function setBackingFormat(path: string, format: ImageFormat): Promise<void> {
  const flags = constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY;
  const file = await open(path, flags).catch((cause: unknown) =>
    accessFailure(`Cannot open '${path}' for writing`, cause),
  );
  try {
    const stats = await file.stat();
    if (!stats.isFile()) {
      throw new VirtError('OPERATION_INVALID', { detail: `'${path}' is no regular file; only files can be repaired` });
    }
    const reader = {
      size: stats.size,
      read: async (offset: number, length: number) => {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
        return buffer.subarray(0, bytesRead);
      },
    };
    for (const { offset, bytes } of await planBackingFormat(reader, path, format)) {
      await file.write(bytes, 0, bytes.length, offset);
      await file.sync();
    }
  } catch (error) {
    if (error instanceof VirtError) throw error;
    accessFailure(`Cannot write '${path}'`, error);
  } finally {
    await file.close();
  }
}
