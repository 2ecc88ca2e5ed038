/** A volume as the bus knows it. */
import type { VolumeSummary } from '@virtbus/shared';
import type { FoundVolume } from './backends';
import type { ManagedPool } from './managed-pool';

export function volumeSummary(managed: ManagedPool, { volume, fault }: FoundVolume): VolumeSummary {
  const { name, key = '', capacity = 0, allocation = 0, target, backingStore } = volume;
  const type = volume.type === 'block' || volume.type === 'dir' ? volume.type : 'file';
  return {
    name,
    pool: managed.name,
    host: managed.host,
    key,
    path: target.path ?? '',
    type,
    ...(target.format && { format: target.format.type }),
    capacity,
    allocation,
    ...(backingStore?.path !== undefined && {
      backing: { path: backingStore.path, ...(backingStore.format && { format: backingStore.format.type }) },
    }),
    encrypted: target.encryption !== undefined,
    ...(fault !== undefined && { fault }),
  };
}
