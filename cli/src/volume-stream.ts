/** The client's end of an upload or a download: a file here, a stream of records over the bus, a progress line. */
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { reasonOf } from './definition';
import { fail, Interrupted } from './failure';
import { busModule } from './lazy';
import type { Output } from './output';
import type { Session } from './session';
import { formatBytes } from './sizes';
import { UsageError } from './spec';

export interface Transfer {
  pool?: string | undefined;
  volume: string;
  host: string;
  /** Here. */
  file: string;
  offset: number;
  length?: number | undefined;
  sparse: boolean;
}

/** The reason that the host ends a stream with when all went well. */
const complete = 'complete';
const step = 256 * 1024;

const request = ({ pool, volume, offset, length = 0, sparse }: Transfer, session: string) => ({
  ...(pool === undefined ? {} : { pool }),
  ...{ volume, offset, length, sparse, session },
});

/** Resolves with the bytes that were sent, holes included, once the host has them on disk. */
export async function sendContent(session: Session, out: Output, transfer: Transfer): Promise<number> {
  const file = await opened(transfer.file, 'r');
  try {
    const found = await file.stat();
    if (found.isDirectory()) throw new UsageError(`cannot read ${transfer.file}: it is a folder`);
    const { size } = found;
    const length = Math.min(size, transfer.length ?? size);
    const { clientStream, newId } = busModule();
    const id = newId();
    const stream = clientStream(await session.bus(), id, () => undefined);
    const leave = interruptible(() => stream.end('interrupted'));
    try {
      const place = await session.call('uploadVolume', request({ ...transfer, length }, id), transfer.host);
      stream.connect(place.input);
      let over = false;
      void stream.ended.then(() => (over = true));
      await readRecords(file, length, transfer.sparse, async (record, at) => {
        await stream.write(record);
        out.status(progress(at, length));
        return !over;
      });
      const reason = await stream.ended;
      if (leave.left()) throw new Interrupted('the upload was interrupted; the volume is as it was');
      if (reason !== complete) throw fail('OPERATION_FAILED', { detail: `upload of ${transfer.file}: ${reason}` });
      return length;
    } finally {
      stream.end();
      leave.off();
      out.clearStatus();
    }
  } finally {
    await file.close();
  }
}

/** Zeros are looked for block by block: what a hole and what zeros are is the same to whoever reads them. */
async function readRecords(
  file: FileHandle,
  length: number,
  sparse: boolean,
  send: (record: Uint8Array, at: number) => Promise<boolean>,
): Promise<void> {
  const { records } = busModule();
  let hole = 0;
  for (let at = 0; at < length;) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(step, length - at)), 0, undefined, at);
    if (bytesRead === 0) throw new UsageError('the file became shorter while it was read');
    at += bytesRead;
    const bytes = buffer.subarray(0, bytesRead);
    if (sparse && isZero(bytes)) {
      hole += bytesRead;
      continue;
    }
    if (hole > 0 && !(await send(records.hole(hole), at))) return;
    hole = 0;
    if (!(await send(records.data(bytes), at))) return;
  }
  if (hole > 0) await send(records.hole(hole), length);
  await send(records.end(), length);
}

const isZero = (bytes: Buffer): boolean => bytes[0] === 0 && bytes.equals(Buffer.alloc(bytes.length));

/** Writes beside the file first: what is there is replaced by the whole or not at all. */
export async function receiveContent(session: Session, out: Output, transfer: Transfer): Promise<number> {
  const partial = `${transfer.file}.part`;
  const file = await opened(partial, 'wx');
  try {
    const got = await fetchContent(session, out, transfer, file);
    await file.sync();
    await file.close();
    await rename(partial, transfer.file);
    return got;
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(partial, { force: true });
    throw error;
  }
}

async function fetchContent(session: Session, out: Output, transfer: Transfer, file: FileHandle): Promise<number> {
  const { clientStream, newId, RecordReader } = busModule();
  const id = newId();
  let at = 0;
  let whole = false;
  let total = 0;
  const reader = new RecordReader({
    data: async (bytes) => {
      await file.write(bytes, 0, bytes.length, at);
      at += bytes.length;
      out.status(progress(at, total));
    },
    hole: (length) => void (at += length),
    end: () => void (whole = true),
  });
  const stream = clientStream(await session.bus(), id, (bytes) => reader.push(bytes));
  const leave = interruptible(() => stream.end('interrupted'));
  try {
    total = (await session.call('downloadVolume', request(transfer, id), transfer.host)).length;
    const reason = await stream.ended;
    if (leave.left()) throw new Interrupted('the download was interrupted; nothing was left behind');
    if (!whole || reason !== complete)
      throw fail('OPERATION_FAILED', { detail: `download to ${transfer.file}: ${reason}` });
    await file.truncate(at);
    return at;
  } finally {
    stream.end();
    leave.off();
    out.clearStatus();
  }
}

async function opened(path: string, flags: string): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (cause) {
    throw new UsageError(`cannot open ${path}: ${reasonOf(cause)}`);
  }
}

function interruptible(leave: () => void): { left: () => boolean; off: () => void } {
  let left = false;
  const interrupt = (): void => {
    left = true;
    leave();
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  return { left: () => left, off: () => void process.off('SIGINT', interrupt).off('SIGTERM', interrupt) };
}

function progress(at: number, total: number): string {
  const percent = total === 0 ? 100 : Math.floor((100 * at) / total);
  return `${formatBytes(at)} of ${formatBytes(total)} (${percent} %)`;
}
