/** The operations on volumes as endpoints. */
import {
  formatVolume,
  parseVolume,
  volumeFromJson,
  volumeToJson,
  type Volume,
  type VolumeParseOptions,
} from '@virtbus/domain-xml/storage';
import {
  cloneVolume,
  createVolume,
  createVolumeFrom,
  deleteVolume,
  downloadVolume,
  getVolume,
  getVolumeXml,
  listVolumes,
  resizeVolume,
  uploadVolume,
  VirtError,
  wipeVolume,
  type Contract,
  type Request,
  type Response,
  type VolumeSummary,
} from '@virtbus/shared';
import { endpoint, type Call, type Endpoint } from '@virtbus/shared/bus';
import { volumeSummary } from '../pools/volume-summary';
import * as change from './change';
import * as make from './make';
import { locate, type Located, type VolumeRef } from './names';
import type { Transfers } from './transfer';
import { pathOf, reread, type Workshop } from './workshop';

export function volumeEndpoints(
  workshop: Workshop,
  transfers: Transfers,
): { queries: Endpoint[]; commands: Endpoint[] } {
  const { pools } = workshop;
  const on = <C extends Contract>(c: C, handler: (request: Request<C>, call: Call) => Promise<Response<C>>): Endpoint =>
    endpoint(c, handler, pools.host.name);
  const changed = async (work: Promise<VolumeSummary>): Promise<{ volume: VolumeSummary }> => ({ volume: await work });
  const madeOnce = (call: Call, work: () => Promise<VolumeSummary>) => changed(make.madeOnce(workshop, call, work));
  return {
    queries: [
      on(listVolumes, async ({ pool }) => {
        const managed = pools.find(pool);
        managed.mustRun();
        const found = [...managed.volumes.values()].sort((a, b) => (a.volume.name < b.volume.name ? -1 : 1));
        return { volumes: found.map((each) => volumeSummary(managed, each)) };
      }),
      on(getVolume, async (ref) => {
        const { managed, found } = await lookedAtAgain(workshop, ref);
        return { volume: volumeSummary(managed, found) };
      }),
      on(getVolumeXml, async ({ format, ...ref }) => {
        const { volume } = (await lookedAtAgain(workshop, ref)).found;
        return format === 'xml' ? { xml: formatVolume(volume) } : { document: volumeToJson(volume) };
      }),
    ],
    commands: [
      on(createVolume, (request, call) => {
        const volume = given(workshop, request, 'backed');
        const { pool } = request;
        return madeOnce(call, () => make.create(workshop, pool, volume, optionsOf(request), call));
      }),
      on(createVolumeFrom, (request, call) => {
        const volume = given(workshop, request, 'optional');
        const { pool, source } = request;
        return madeOnce(call, () => make.createFrom(workshop, pool, volume, source, optionsOf(request), call));
      }),
      on(cloneVolume, ({ name, ...request }, call) =>
        madeOnce(call, () => make.clone(workshop, request, name, optionsOf(request), call)),
      ),
      on(resizeVolume, (request, call) => changed(change.resize(workshop, request, call))),
      on(wipeVolume, (request, call) => changed(change.wipe(workshop, request, call))),
      on(deleteVolume, (request, call) => changed(change.remove(workshop, request, call))),
      on(uploadVolume, (request, call) => transfers.upload(request, call)),
      on(downloadVolume, (request, call) => transfers.download(request, call)),
    ],
  };
}

const optionsOf = ({ preallocate, secret, sourceSecret }: make.MakeOptions): make.MakeOptions => ({
  preallocate,
  secret,
  sourceSecret,
});

/** A volume as it is now, rather than when its pool was last looked into. */
async function lookedAtAgain(workshop: Workshop, ref: VolumeRef): Promise<Located> {
  const { managed, found } = locate(workshop.pools, ref);
  return { managed, found: await reread(workshop, managed, pathOf(found.volume)) };
}

function given(
  { pools }: Workshop,
  { pool, xml, document }: { pool: string; xml?: string | undefined; document?: unknown },
  capacity: VolumeParseOptions['capacity'],
): Volume {
  const options = { poolType: pools.find(pool).pool.type, ...(capacity && { capacity }) };
  if (xml !== undefined) return parseVolume(xml, options);
  if (document !== undefined) return volumeFromJson(document, options);
  throw new VirtError('INVALID_ARG', { detail: 'xml or document is needed: the description of the volume' });
}
