/** Resizing, wiping and deleting volumes: only what nobody else uses. */
import { randomFillSync } from 'node:crypto';
import { lstat, open, rmdir, stat, truncate, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Volume } from '@virtbus/domain-xml/storage';
import { VirtError, type Request, type resizeVolume, type VolumeSummary, type wipeVolume } from '@virtbus/shared';
import type { Call } from '@virtbus/shared/bus';
import { backendOf, type FoundVolume } from '../pools/backends';
import { sameness } from '../pools/made-formats';
import type { ManagedPool } from '../pools/managed-pool';
import { volumeSummary } from '../pools/volume-summary';
import { run } from '../programs';
import { orExplain } from '../system-errors';
import { flush } from './appear';
import { extentsOf } from './extents';
import { writeAll } from '../write-all';
import { locate, type Located, type VolumeRef } from './names';
import {
  made,
  measure,
  mustBeBelievable,
  mustBeSound,
  pathOf,
  reread,
  withNobodyElse,
  type Workshop,
} from './workshop';

/** A volume that a command is about to delete: its pool's uuid, and what tells it from a later one of its name. */
interface Deleting {
  pool: string;
  path: string;
  identity: string | undefined;
  summary: VolumeSummary;
}

export async function remove(workshop: Workshop, ref: VolumeRef, call: Call): Promise<VolumeSummary> {
  const begun = workshop.intents.begun<Deleting>(call);
  if (begun && (await isDeleted(workshop, begun))) {
    const { pool, path, summary } = begun;
    workshop.pools.tell(workshop.pools.find(pool), 'volume-deleted', call, { volume: summary.name, path });
    return summary;
  }
  const { managed, found } = locate(workshop.pools, ref);
  const { volume } = found;
  const path = pathOf(volume);
  const work = async (): Promise<VolumeSummary> => {
    const summary = volumeSummary(managed, found);
    const identity = await orExplain(`look at ${path}`, () => identityOf(managed, found));
    const intent: Deleting = { pool: managed.uuid, path, identity, summary };
    workshop.intents.beginIfRoom(call, intent);
    await orExplain(`delete ${path}`, async () => {
      const { devices } = backendOf(managed.pool);
      if (devices) {
        await devices.remove(managed.pool, volume);
        return workshop.inProgress.gone(managed, path);
      }
      await (volume.type === 'dir' ? rmdir(path) : unlink(path)).catch(unlessGone);
      await flush(dirname(path));
    });
    managed.drop(volume.name);
    await measure(managed);
    workshop.pools.tell(managed, 'volume-deleted', call, { volume: volume.name, path });
    return summary;
  };
  return managed.job(volume.name, 'deleted', () => withNobodyElse(workshop, path, 'deleted', work));
}

/** That volume is gone, whatever has its place now. Throws where nobody can see that. */
async function isDeleted({ pools }: Workshop, { pool, path, identity }: Deleting): Promise<boolean> {
  const managed = pools.find(pool);
  managed.mustRun();
  await pools.look(managed);
  const there = [...managed.volumes.values()].find(({ volume }) => pathOf(volume) === path);
  return there === undefined || (await orExplain(`look at ${path}`, () => identityOf(managed, there))) !== identity;
}

/** Undefined where there is none. */
async function identityOf({ pool }: ManagedPool, { volume }: FoundVolume): Promise<string | undefined> {
  const path = pathOf(volume);
  const { devices } = backendOf(pool);
  if (devices) return devices.identify(pool, path);
  return lstat(path).then(sameness, (error: NodeJS.ErrnoException) => unlessGone(error));
}

/** Somebody has taken it away already: what is left to do is to know it. */
function unlessGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

/** A size that a command is about to change, bytes. */
interface Resizing {
  path: string;
  from: number;
  to: number;
}

export async function resize(
  workshop: Workshop,
  request: Request<typeof resizeVolume>,
  call: Call,
): Promise<VolumeSummary> {
  const { managed, found } = locate(workshop.pools, request);
  const path = pathOf(found.volume);
  const work = async (): Promise<VolumeSummary> => {
    const now = await reread(workshop, managed, path);
    mustBeBelievable(now);
    const begun = workshop.intents.begun<Resizing>(call);
    const capacity = begun ? sizeBegun(now.volume, begun) : newCapacity(now.volume, request);
    const from = now.volume.capacity ?? 0;
    if (!begun) workshop.intents.begin(call, { path, from, to: capacity } satisfies Resizing);
    await orExplain(`resize ${path}`, () =>
      resizeTo(workshop, { managed, found: now }, capacity, request, call.signal),
    );
    return made(workshop, managed, path, 'volume-changed', call);
  };
  return managed.job(found.volume.name, 'resized', () => withNobodyElse(workshop, path, 'resized', work));
}

/** Throws INVALID_ARG for a size that it must not have. */
function newCapacity(volume: Volume, { capacity, delta, shrink }: Request<typeof resizeVolume>): number {
  const { capacity: old = 0, name } = volume;
  const size = !delta ? capacity : shrink ? old - capacity : old + capacity;
  const refuse = (detail: string): VirtError => new VirtError('INVALID_ARG', { detail: `volume '${name}': ${detail}` });
  if (size <= 0 || !Number.isSafeInteger(size)) throw refuse(`a capacity of ${size} bytes is impossible`);
  if (size < old && !shrink)
    throw refuse(`Can't shrink capacity below current capacity (${old} bytes) unless shrink flag explicitly specified`);
  return size;
}

/**
 * The size that the command was about to give it, which it has or has not; what it has when that was done to a device, whose
 * size its system rounds up.
 */
function sizeBegun({ capacity: now = 0, name, type, target }: Volume, { path, from, to }: Resizing): number {
  if (target.path === path && (now === to || now === from)) return to;
  const isRoundedUp = type === 'block' && now > to && (to > from || now < from);
  if (target.path === path && isRoundedUp) return now;
  const detail = `volume '${name}' was to become ${to} bytes from ${from} under this command id, and has ${now} by now: it is not known whether that was done; look at it, and give the command again under another id where it was not`;
  throw new VirtError('OPERATION_TIMEOUT', { detail });
}

async function resizeTo(
  workshop: Workshop,
  { managed, found: { volume } }: Located,
  capacity: number,
  { allocate }: { allocate: boolean },
  signal: AbortSignal,
): Promise<void> {
  const path = pathOf(volume);
  const format = volume.target.format?.type ?? 'raw';
  const { devices } = backendOf(managed.pool);
  // What a process that died has not taken of a file's space is taken now; all others take it before they have the size.
  const isPlain = !devices && (format === 'raw' || format === 'iso');
  if (capacity === volume.capacity && !(allocate && isPlain)) return;
  if (devices) {
    if (devices.resize) return devices.resize(managed.pool, volume, capacity);
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `volumes of a pool of type ${managed.pool.type} cannot be resized`,
    });
  }
  if (volume.type === 'dir') throw new VirtError('OPERATION_INVALID', { detail: `${path} is a folder` });
  if (isPlain) {
    // An encrypted one has its header before its content.
    const { physical = 0, capacity: old = 0 } = volume;
    const size = capacity + (physical - old);
    await truncate(path, size);
    try {
      if (allocate) await run('fallocate', ['--length', String(size), '--', path], { signal });
    } catch (error) {
      // What it got before there was no more is given back.
      if (size > physical) await truncate(path, physical);
      throw error;
    }
    return flush(path);
  }
  if (volume.target.encryption)
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `${path}: an encrypted ${format} image cannot be resized without its passphrase`,
    });
  await mustBeSound(workshop, path, format);
  const shrinking = capacity < (volume.capacity ?? 0) ? ['--shrink'] : [];
  const allocating = allocate ? ['--preallocation=falloc'] : [];
  await run('qemu-img', ['resize', ...shrinking, ...allocating, '-f', format, '--', path, String(capacity)], {
    signal,
    mortal: true,
  });
}

const step = 1024 * 1024;

export async function wipe(
  workshop: Workshop,
  request: Request<typeof wipeVolume>,
  call: Call,
): Promise<VolumeSummary> {
  const { managed, found } = locate(workshop.pools, request);
  const path = pathOf(found.volume);
  if (found.volume.type === 'dir') throw new VirtError('OPERATION_INVALID', { detail: `${path} is a folder` });
  const work = async (): Promise<VolumeSummary> => {
    await orExplain(`wipe ${path}`, () => overwrite(path, found.volume, request.algorithm, call.signal));
    // Nothing is left of the image that it was.
    if (found.volume.type === 'file')
      workshop.pools.made.note(managed.uuid, found.volume.name, 'raw', await stat(path));
    return made(workshop, managed, path, 'volume-changed', call);
  };
  return managed.job(found.volume.name, 'wiped', () => withNobodyElse(workshop, path, 'wiped', work));
}

/** Every byte that lies on the disk; holes have none. */
async function overwrite(
  path: string,
  { type, capacity = 0 }: Volume,
  algorithm: 'zero' | 'random' | 'trim',
  signal: AbortSignal,
): Promise<void> {
  const size = type === 'block' ? capacity : (await stat(path)).size;
  if (size === 0) return;
  if (algorithm === 'trim') {
    await run('fallocate', ['--punch-hole', '--offset', '0', '--length', String(size), '--', path], { signal });
    return flush(path);
  }
  const extents = await extentsOf(path, 0, size, signal);
  const bytes = Buffer.alloc(step);
  const file = await open(path, 'r+');
  try {
    for (const { start, length, data } of extents) {
      for (let at = start; data && at < start + length; at += step) {
        signal.throwIfAborted();
        if (algorithm === 'random') randomFillSync(bytes);
        await writeAll(file, bytes.subarray(0, Math.min(step, start + length - at)), at);
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
