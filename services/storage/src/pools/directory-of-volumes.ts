/** The volumes of the pools, for those who look for images: domains' disks, chains, audits. */
import { ImageFormat, VirtError } from '@virtbus/shared';
import type { KnownVolume, VolumeDirectory } from '../host';
import type { FoundVolume } from './backends';
import type { ManagedPool } from './managed-pool';
import type { Pools } from './pools';

export function directoryOf(pools: Pools): VolumeDirectory {
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
    list: async () =>
      pools
        .all()
        .filter(({ active }) => active)
        .flatMap((managed) => [...managed.volumes.values()].map((found) => known(managed, found))),
  };
}
