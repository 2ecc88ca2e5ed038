/** Which names volumes may have, and finding a volume by what a caller calls it. */
import { Buffer } from 'node:buffer';
import { VirtError } from '@virtbus/shared';
import type { FoundVolume } from '../pools/backends';
import { temporaryPrefix } from '../pools/folder';
import type { ManagedPool } from '../pools/managed-pool';
import type { Pools } from '../pools/pools';

export interface VolumeRef {
  pool?: string | undefined;
  volume: string;
}

export interface Located {
  managed: ManagedPool;
  found: FoundVolume;
}

/** By name in its pool; without a pool by path or key. Throws VOLUME_NOT_FOUND and POOL_NOT_FOUND. */
export function locate(pools: Pools, { pool, volume }: VolumeRef): Located {
  if (pool !== undefined) {
    const managed = pools.find(pool);
    managed.mustRun();
    const found = managed.volumes.get(volume) ?? byPathOrKey(managed, volume);
    if (!found) throw new VirtError('VOLUME_NOT_FOUND', { volume, pool: managed.name });
    return { managed, found };
  }
  for (const managed of pools.all()) {
    const found = byPathOrKey(managed, volume);
    if (found) return { managed, found };
  }
  throw new VirtError('VOLUME_NOT_FOUND', { volume });
}

function byPathOrKey({ volumes }: ManagedPool, ref: string): FoundVolume | undefined {
  for (const found of volumes.values()) {
    if (found.volume.target.path === ref || found.volume.key === ref) return found;
  }
  return undefined;
}

/** Throws INVALID_ARG for what cannot be the name of a file in the pool's folder, or would hide there. */
export function checkName(name: string): void {
  const why = name.includes('/')
    ? "it cannot contain '/'"
    : name === '.' || name === '..' || name === ''
      ? 'it is no name of a file'
      : /[\u0000-\u001f\u007f]/.test(name)
        ? 'it has control characters'
        : name.startsWith(temporaryPrefix)
          ? `names that begin with ${temporaryPrefix} are ours`
          : Buffer.byteLength(name) > 255
            ? 'it is longer than 255 bytes'
            : undefined;
  if (why !== undefined) throw new VirtError('INVALID_ARG', { detail: `volume name '${name.slice(0, 300)}': ${why}` });
}
