/** What work on volumes needs, and how its results are made known. */
import { discoverChain, localImages } from '@virtbus/disk-image';
import type { Pool, Volume } from '@virtbus/domain-xml/storage';
import { ImageFormat, VirtError, type VolumeSummary } from '@virtbus/shared';
import type { Call } from '@virtbus/shared/bus';
import type { ImageUse } from '../host';
import type { Intents } from '../intents';
import { backendOf, type FoundVolume } from '../pools/backends';
import { inspect } from '../pools/image';
import type { ManagedPool } from '../pools/managed-pool';
import type { Pools } from '../pools/pools';
import { volumeSummary } from '../pools/volume-summary';
import type { InProgress } from './in-progress';

export interface Workshop {
  pools: Pools;
  inProgress: InProgress;
  /** What commands are about to do. */
  intents: Intents;
  /** Who uses images. */
  use: () => ImageUse;
}

/**
 * Does what changes an image while nobody uses it or begins to. Throws RESOURCE_BUSY that names who does.
 * @param what is done to it: `deleted`, `resized`
 */
export async function withNobodyElse<T>(
  { use }: Workshop,
  path: string,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  using _claim = await use().claim(path, what, true);
  return await work();
}

/** Throws unless this image and every one below it is known, with its format. */
export async function mustBeSound({ pools }: Workshop, path: string, format: string): Promise<void> {
  const start = { location: { type: 'file', path }, format: ImageFormat.parse(format) } as const;
  await discoverChain(start, { policy: pools.host.policy, open: localImages({ machine: pools.host.machine }) });
}

/** The path of a volume that was found, or of one that was just named. */
export function pathOf({ name, target }: Volume): string {
  if (target.path === undefined) throw new VirtError('INTERNAL_ERROR', { detail: `volume '${name}' has no path` });
  return target.path;
}

/** Throws for an image whose header cannot be believed. */
export function mustBeBelievable({ volume, fault }: FoundVolume): void {
  if (fault !== undefined) throw new VirtError('OPERATION_FAILED', { detail: `${pathOf(volume)}: ${fault}` });
}

/** Look at a volume again and tell that it came or changed. */
export async function made(
  workshop: Workshop,
  managed: ManagedPool,
  path: string,
  type: 'volume-created' | 'volume-changed',
  call: Call,
): Promise<VolumeSummary> {
  const found = await reread(workshop, managed, path);
  await measure(managed);
  workshop.pools.tell(managed, type, call, { volume: found.volume.name, path });
  return volumeSummary(managed, found);
}

/** Look at one volume again. */
export async function reread({ pools }: Workshop, managed: ManagedPool, path: string): Promise<FoundVolume> {
  const { devices } = backendOf(managed.pool);
  if (devices) await pools.look(managed);
  else {
    const found = await inspect(path, { ...pools.known(managed), before: () => undefined });
    if (found) managed.put(found);
  }
  const found = [...managed.volumes.values()].find(({ volume }) => volume.target.path === path);
  if (!found) throw new VirtError('VOLUME_NOT_FOUND', { volume: path, pool: managed.name });
  return found;
}

/** The pool's space, now. */
export async function measure(managed: ManagedPool): Promise<void> {
  const pool: Pool = managed.pool;
  managed.space = await backendOf(pool).space(pool);
}
