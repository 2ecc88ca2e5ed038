/** The volumes of the pools, for those who look for images: domains' disks, chains, audits. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ImageFormat, VirtError } from '@virtbus/shared';
import type { KnownVolume, VolumeDirectory } from '../host';
import { checkName } from '../volumes/names';
import { backendOf, type FoundVolume } from './backends';
import { inspect } from './image';
import { GoneVolumes } from './gone-volumes';
import type { ManagedPool } from './managed-pool';
import type { Pools } from './pools';

export function directoryOf(pools: Pools): VolumeDirectory {
  const gone = new GoneVolumes(pools);
  const known = (managed: ManagedPool, { volume, made }: FoundVolume): KnownVolume => {
    const { name, type, target } = volume;
    const path = target.path ?? '';
    return {
      pool: managed.name,
      volume: name,
      location: { type: type === 'block' || type === 'dir' ? type : 'file', path },
      format: ImageFormat.catch('raw').parse(target.format?.type ?? 'raw'),
      // A device has no header that anybody would read.
      created: type === 'block' || made === true,
    };
  };
  return {
    find: async (pool, volume) => {
      const managed = pools.find(pool);
      managed.mustRun();
      const found = managed.volumes.get(volume);
      if (!found) throw new VirtError('VOLUME_NOT_FOUND', { volume, pool: managed.name });
      const it = known(managed, found);
      // What a header shows is for lists: a guest never runs on a guess.
      return it.created ? it : { ...it, format: 'raw' };
    },
    placeFor: async (pool, volume) => {
      const managed = pools.find(pool);
      managed.mustRun();
      const found = managed.volumes.get(volume);
      if (found) return known(managed, found).location;
      checkName(volume);
      const folder = managed.pool.target?.path;
      if (backendOf(managed.pool).devices || folder === undefined) {
        const detail = `pool '${managed.name}' has no volume '${volume}', and volumes of its type are no files; create it first`;
        throw new VirtError('OPERATION_UNSUPPORTED', { detail });
      }
      return { type: 'file', path: join(folder, volume) };
    },
    changed: async (paths) => {
      for (const managed of pools.all().filter(({ active, pool }) => active && !backendOf(pool).devices)) {
        for (const path of paths.filter((one) => dirname(one) === managed.pool.target?.path)) {
          const found = await inspect(path, { ...pools.known(managed), before: () => undefined });
          if (found) managed.put(found);
        }
      }
    },
    made: async (path, format) => {
      const managed = pools.all().find(({ active, pool }) => active && pool.target?.path === dirname(path));
      if (!managed || backendOf(managed.pool).devices) return;
      pools.made.note(managed.uuid, basename(path), format, await stat(path));
      const found = await inspect(path, { ...pools.known(managed), before: () => undefined });
      if (found) managed.put(found);
    },
    letGo: (paths) => void gone.lookFor(paths),
    unseen: async () => {
      // Devices stand on nothing.
      const unseen = pools.all().filter((one) => one.unseen && !backendOf(one.pool).devices);
      await Promise.all(unseen.map((one) => lookAgain(pools, one)));
      return unseen.filter((one) => one.unseen).map(({ name }) => name);
    },
    list: async () =>
      pools
        .all()
        .filter(({ active }) => active)
        .flatMap((managed) => [...managed.volumes.values()].map((found) => known(managed, found))),
  };
}

/** How long somebody waits for a pool that could not be looked into, milliseconds. */
const patienceMs = 5_000;

async function lookAgain(pools: Pools, managed: ManagedPool): Promise<void> {
  const late = AbortSignal.timeout(patienceMs);
  const look = managed.inTurn(late, () => pools.look(managed));
  const over = new Promise<void>((resolve) => late.addEventListener('abort', () => resolve(), { once: true }));
  await Promise.race([look.catch(() => undefined), over]);
}
