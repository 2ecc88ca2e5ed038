/**
 * The content of volumes over the bus, with its holes.
 *
 * What is uploaded goes into a file of its own that takes the volume's place when the stream has ended well: a stream
 * that is cut leaves the volume as it was. Devices are written in place.
 */
import { stat } from 'node:fs/promises';
import {
  streamSubject,
  VirtError,
  type downloadVolume,
  type Request,
  type Response,
  type uploadVolume,
} from '@virtbus/shared';
import { hostStream, type Bus, type ByteStream, type Call } from '@virtbus/shared/bus';
import { orExplain } from '../system-errors';
import { replace } from './appear';
import { locate, type Located, type VolumeRef } from './names';
import { Reception } from './reception';
import { sendContent } from './sending';
import { made, pathOf, withNobodyElse, type Workshop } from './workshop';

type Upload = Request<typeof uploadVolume>;
type Download = Request<typeof downloadVolume>;
/** Gives the caller its answer while the work goes on. */
type Ready<A> = (answer: A) => void;

/** The reason with which the host ends a stream that went well. */
const complete = 'complete';

export class Transfers {
  private bus: Bus | undefined;
  private readonly sessions = new Set<string>();

  constructor(private readonly workshop: Workshop) {}

  connect(bus: Bus): void {
    this.bus = bus;
  }

  /** Answers when bytes may come, and goes on until they have. */
  upload(request: Upload, call: Call): Promise<Response<typeof uploadVolume>> {
    const located = this.find(request);
    const { managed, found } = located;
    return begun(call, (ready) =>
      managed.job(found.volume.name, 'uploaded', async () => {
        const work = (): Promise<void> => this.receive(located, request, call, ready);
        await withNobodyElse(this.workshop, pathOf(found.volume), 'overwritten', work);
      }),
    );
  }

  /** Answers when bytes are about to come, and goes on until all are sent. */
  download(request: Download, call: Call): Promise<Response<typeof downloadVolume>> {
    const { managed, found } = this.find(request);
    return begun(call, (ready) =>
      managed.job(found.volume.name, 'downloaded', () => this.send(found.volume, request, ready), true),
    );
  }

  private async receive(
    { managed, found: { volume } }: Located,
    request: Upload,
    call: Call,
    ready: Ready<Response<typeof uploadVolume>>,
  ): Promise<void> {
    const path = pathOf(volume);
    await this.streaming(request.session, async (open) => {
      const take = async (reception: Reception): Promise<void> => {
        try {
          const stream = open((bytes) => reception.push(bytes));
          ready(this.place(request.session));
          await reception.finished(stream.ended);
        } finally {
          await reception.close();
        }
      };
      await orExplain(`upload to ${path}`, async () => {
        if (volume.type === 'block') return take(await Reception.intoDevice(path, request, volume.capacity ?? 0));
        await this.workshop.inProgress.withTemporary(managed, path, async (temporary) => {
          await take(await Reception.intoFile(temporary, path, request));
          await replace(temporary, path);
        });
      });
      await made(this.workshop, managed, path, 'volume-changed', call);
    });
  }

  private async send(
    volume: Located['found']['volume'],
    request: Download,
    ready: Ready<Response<typeof downloadVolume>>,
  ): Promise<void> {
    const path = pathOf(volume);
    await this.streaming(request.session, (open) =>
      orExplain(`download from ${path}`, async () => {
        const size = volume.type === 'block' ? (volume.capacity ?? 0) : (await stat(path)).size;
        const end = request.length === 0 ? size : Math.min(size, request.offset + request.length);
        const stream = open(() => undefined);
        ready({ ...this.place(request.session), length: Math.max(0, end - request.offset) });
        await sendContent(stream, path, { ...request, end });
      }),
    );
  }

  /** Does the work with a stream, and tells the other end how it went. */
  private async streaming(
    session: string,
    work: (open: (onBytes: (bytes: Uint8Array) => void | Promise<void>) => ByteStream) => Promise<void>,
  ): Promise<void> {
    const { bus } = this;
    if (!bus) throw new VirtError('INTERNAL_ERROR', { detail: 'no bus to stream a volume over' });
    if (this.sessions.has(session)) throw new VirtError('INVALID_ARG', { detail: `session '${session}' is in use` });
    this.sessions.add(session);
    let stream: ByteStream | undefined;
    try {
      await work((onBytes) => (stream = hostStream(bus, this.workshop.pools.host.name, session, onBytes)));
      stream?.end(complete);
    } catch (error) {
      stream?.end(VirtError.from(error).message);
      throw error;
    } finally {
      this.sessions.delete(session);
    }
  }

  private place(session: string): { host: string; input: string } {
    const host = this.workshop.pools.host.name;
    return { host, input: streamSubject(host, session, 'in') };
  }

  private find(ref: VolumeRef): Located {
    const located = locate(this.workshop.pools, ref);
    const { type, name } = located.found.volume;
    if (type === 'dir') throw new VirtError('OPERATION_INVALID', { detail: `volume '${name}' is a folder` });
    return located;
  }
}

/** The answer that the work gives on its way. What fails after that is told to the other end of the stream. */
function begun<A>(call: Call, work: (ready: Ready<A>) => Promise<void>): Promise<A> {
  return new Promise<A>((resolve, reject) => {
    work(resolve).catch((error: unknown) => {
      call.log.info({ reason: VirtError.from(error).message }, 'a transfer did not end well');
      reject(VirtError.from(error));
    });
  });
}
