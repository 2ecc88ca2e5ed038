/** For tests of pools and volumes: what they ask of one host, and the client's end of an upload and a download. */
import {
  createPool,
  createVolume,
  downloadVolume,
  isVirtError,
  listVolumes,
  uploadVolume,
  VirtError,
  type Contract,
  type ErrorCode,
  type RequestInput,
  type Response,
  type VolumeSummary,
} from '@virtbus/shared';
import { call, clientStream, newId, RecordReader, records, type Bus } from '@virtbus/shared/bus';

export class HostStorage {
  constructor(
    readonly bus: Bus,
    readonly host = 'h1',
  ) {}

  ask<C extends Contract>(c: C, request: RequestInput<C>, id?: string): Promise<Response<C>> {
    return call(this.bus, c, request, { target: this.host, ...(id === undefined ? {} : { id }) });
  }

  /** What it is refused with. */
  async refused<C extends Contract>(c: C, request: RequestInput<C>): Promise<{ code: ErrorCode; message: string }> {
    return refusal(this.ask(c, request));
  }

  /** A transient pool in a folder that is made. */
  async pool(name: string, path: string): Promise<void> {
    const document = { type: 'dir', name, target: { path } };
    await this.ask(createPool, { document, build: 'new' });
  }

  async volume(pool: string, name: string, more: Record<string, unknown> = {}): Promise<VolumeSummary> {
    const document = { name, capacity: 1024 ** 2, allocation: 0, ...more };
    return (await this.ask(createVolume, { pool, document })).volume;
  }

  qcow2(pool: string, name: string, capacity: number, backing?: string): Promise<VolumeSummary> {
    const below = backing && { backingStore: { path: backing, format: { type: 'qcow2' } } };
    return this.volume(pool, name, { capacity, target: { format: { type: 'qcow2' } }, ...below });
  }

  async volumes(pool: string): Promise<string[]> {
    return (await this.ask(listVolumes, { pool })).volumes.map(({ name }) => name);
  }

  /**
   * Sends content as data, with a hole of `hole` bytes behind it.
   * @param end say that it is whole; otherwise the stream is cut after the bytes
   * @returns the reason that the stream ended for
   */
  async upload(pool: string, volume: string, content: Uint8Array, { hole = 0, end = true } = {}): Promise<string> {
    const session = newId();
    const stream = clientStream(this.bus, session, () => undefined);
    try {
      const place = await this.ask(uploadVolume, { pool, volume, session, sparse: true });
      stream.connect(place.input);
      await stream.write(records.data(content));
      if (hole > 0) await stream.write(records.hole(hole));
      if (end) await stream.write(records.end());
      else stream.end('the cable was pulled');
      return await stream.ended;
    } finally {
      stream.end();
    }
  }

  /** The data with its holes filled, and how many bytes of it were holes. */
  async download(pool: string, volume: string): Promise<{ content: Buffer; holes: number }> {
    const session = newId();
    const parts: Buffer[] = [];
    let holes = 0;
    const reader = new RecordReader({
      data: (bytes) => void parts.push(Buffer.from(bytes)),
      hole: (length) => {
        holes += length;
        parts.push(Buffer.alloc(length));
      },
      end: () => undefined,
    });
    const stream = clientStream(this.bus, session, (bytes) => reader.push(bytes));
    await this.ask(downloadVolume, { pool, volume, session, sparse: true });
    const reason = await stream.ended;
    if (reason !== 'complete') throw new VirtError('OPERATION_FAILED', { detail: reason });
    return { content: Buffer.concat(parts), holes };
  }
}

/** The error that a call ends in: one line, and no trace of our insides. */
export async function refusal(work: Promise<unknown>): Promise<{ code: ErrorCode; message: string }> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isVirtError(error)) throw new Error(`not refused, but: ${String(error)}`);
  if (/\n|\bat .*\.(ts|js):/.test(error.message)) throw new Error(`more than one clear line: ${error.message}`);
  return { code: error.code, message: error.message };
}
