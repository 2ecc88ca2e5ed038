/** Sends the content of a volume as records: data as data, holes as holes where the other side wants them so. */
import { open } from 'node:fs/promises';
import { VirtError } from '@virtbus/shared';
import { records, type ByteStream } from '@virtbus/shared/bus';
import { extentsOf } from './extents';

const step = 256 * 1024;

/** @param what bytes from `offset` up to `end` */
export async function sendContent(
  stream: ByteStream,
  path: string,
  { offset, end, sparse }: { offset: number; end: number; sparse: boolean },
): Promise<void> {
  let gone: string | undefined;
  void stream.ended.then((reason) => (gone = reason));
  const send = async (bytes: Uint8Array): Promise<void> => {
    await stream.write(bytes);
    if (gone !== undefined) throw new VirtError('OPERATION_ABORTED', { detail: `the download was cut: ${gone}` });
  };
  const file = await open(path, 'r');
  try {
    for (const extent of await extentsOf(path, offset, end)) {
      const to = extent.start + extent.length;
      if (sparse && !extent.data) await send(records.hole(extent.length));
      else
        for (let at = extent.start; at < to; at += step) {
          const buffer = Buffer.alloc(Math.min(step, to - at));
          const bytesRead = extent.data ? (await file.read(buffer, 0, buffer.length, at)).bytesRead : buffer.length;
          if (bytesRead < buffer.length) throw new VirtError('OPERATION_FAILED', { detail: `${path} became shorter` });
          await send(records.data(buffer));
        }
    }
    await send(records.end());
  } finally {
    await file.close();
  }
}
