/**
 * Opens images that lie on this machine.
 *
 * Opening can do harm (a watchdog device starts, a fifo waits for ever), so a file is looked at first, opened without blocking, and
 * looked at again. Nothing in the kernel's file systems is an image. What only a header names must be a regular file.
 */
import type { BigIntStats } from 'node:fs';
import { readFile, readlink } from 'node:fs/promises';
import { VirtError } from '@virtbus/shared';
import type { OpenImage } from '../chain/types';
import type { OpenedImage } from '../reader';
import { accessFailure } from './access-failure';
import { deviceIdentity, deviceNumber, fileIdentity } from './identity';
import type { FileAccess } from './file-access';
import { MountTable } from './mount-table';
import { isKernels, type Mount } from './mounts';
import { readExactly } from './read-exactly';

export interface LocalImagesOptions {
  /** Name of this machine in identities; the same whenever it is asked. */
  readonly machine: string;
  /** Devices that a header may name nevertheless, as an administrator allows: a volume group, say. */
  readonly mayName?: ((path: string) => boolean) | undefined;
}

/** Opens files and devices of this machine for one look at them; undefined for places elsewhere. */
export function localImages({ machine, mayName = () => false }: LocalImagesOptions): OpenImage {
  let table: MountTable | undefined;
  return async (location, trust) => {
    if (location.type !== 'file' && location.type !== 'block' && location.type !== 'dir') return undefined;
    const { path } = location;
    const mountTable = (table ??= new MountTable());
    const { seen, access } = await attempted(path, () => mountTable.look(path));
    const mounts = mountTable.of(deviceNumber(seen.dev));
    mustBeAnImage(path, seen, mounts);
    if (trust === 'named' && !seen.isFile() && !mayName(path)) {
      refuse(
        path,
        `the header of an image names it, and it is a ${kindOf(seen)}; only the domain's document may do that`,
      );
    }
    if (seen.isDirectory()) return folder(machine, path, seen, mounts);
    return openedImage({ machine, path, seen, mounts }, access);
  };
}

const refuse = (image: string, detail: string): never => {
  throw new VirtError('IMAGE_INVALID', { image, detail });
};

function mustBeAnImage(path: string, stats: BigIntStats, mounts: readonly Mount[]): void {
  if (stats.isDirectory() || stats.isFile()) {
    const [mount] = mounts;
    if (mount && isKernels(mount)) refuse(path, `it lies in a file system of the kernel (${mount.type})`);
  } else if (!stats.isBlockDevice()) {
    refuse(path, `it is a ${kindOf(stats)}`);
  }
}

function kindOf(stats: BigIntStats): string {
  if (stats.isDirectory()) return 'folder';
  if (stats.isBlockDevice()) return 'block device';
  if (stats.isCharacterDevice()) return 'character device';
  return stats.isFIFO() ? 'fifo' : 'socket';
}

const folder = async (
  machine: string,
  path: string,
  stats: BigIntStats,
  mounts: readonly Mount[],
): Promise<OpenedImage> => ({
  kind: 'dir',
  size: 0,
  identity: await fileIdentity(machine, stats, mounts, () => Promise.resolve(path)),
  read: () => Promise.resolve(Buffer.alloc(0)),
  close: () => Promise.resolve(),
});

interface Seen {
  readonly machine: string;
  readonly path: string;
  readonly seen: BigIntStats;
  readonly mounts: readonly Mount[];
}

async function openedImage({ machine, path, seen, mounts }: Seen, access: FileAccess): Promise<OpenedImage> {
  const file = await attempted(path, () => access.open(path));
  try {
    const stats = await file.stat();
    if (stats.ino !== seen.ino || stats.dev !== seen.dev) refuse(path, 'it was replaced while it was opened');
    const isBlock = stats.isBlockDevice();
    return {
      kind: isBlock ? 'block' : 'file',
      size: isBlock ? await lengthOfDevice(stats) : Number(stats.size),
      identity: isBlock
        ? await deviceIdentity(machine, stats)
        : await fileIdentity(machine, stats, mounts, () => readlink(`/proc/self/fd/${file.fd}`)),
      read: (offset, length) => readExactly(file, path, offset, length),
      close: async () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function attempted<T>(path: string, call: () => T | Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    return accessFailure(`Cannot access storage file '${path}'`, cause);
  }
}

/** The kernel tells the length of a block device in sectors. */
async function lengthOfDevice(stats: BigIntStats): Promise<number> {
  return Number((await readFile(`/sys/dev/block/${deviceNumber(stats.rdev)}/size`, 'utf8')).trim()) * 512;
}
