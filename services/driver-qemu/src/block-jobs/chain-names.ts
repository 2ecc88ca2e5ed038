/** Which images of a disk a command is about, and how a header is to name the one below. */
import { findLayer, formatLocation, relativeName } from '@virtbus/disk-image';
import {
  checkTargetOf,
  diskImages,
  diskNamed,
  namedLayers,
  noSuchImage,
  sourcePath,
  type Disk,
  type DiskImage,
} from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { relativeNames } from './chain-of';

/** The disk, free for a job. */
export function diskForJob(guest: QemuGuest, name: string): Disk {
  const disk = diskNamed(guest.live, name);
  const target = targetOf(disk);
  const refuse = (what: string): never => {
    throw new VirtError('OPERATION_UNSUPPORTED', { detail: `block jobs are not supported on ${what}` });
  };
  if (disk.target.bus === 'sd') refuse(`disk '${target}' using bus 'sd'`);
  if (disk.transient) refuse(`transient disk '${target}'`);
  if (disk.type === 'vhostuser') refuse(`vhostuser disk '${target}'`);
  guest.blockJobs.refuseBusy(target);
  return disk;
}

export const targetOf = ({ target }: Disk): string => target.dev ?? '';

/** How people name the disk's image. */
export const nameOf = (disk: Disk): string => sourcePath(disk) ?? disk.source?.name ?? targetOf(disk);

/** How people name an image. */
export const imageName = ({ source }: DiskImage): string =>
  source.file ?? source.dev ?? source.dir ?? source.name ?? '';

/** Depth of the image that a caller means; the last of the chain when he says nothing. Throws INVALID_ARG. */
export async function depthOf(disk: Disk, name: string | undefined, below?: number): Promise<number> {
  checkTargetOf(disk, name);
  const depth = await findLayer(namedLayers(disk), name, { target: targetOf(disk), below });
  if (depth === undefined) throw noSuchImage(disk, name, below);
  return depth;
}

/** Depth of the image with this number; -1 when it has left the chain. */
export const depthOfIndex = (disk: Disk, index: number | undefined): number =>
  diskImages(disk).findIndex(({ source }) => source.index === index);

export function indexAt(disk: Disk, depth: number): number {
  const index = diskImages(disk)[depth]?.source.index;
  if (index !== undefined) return index;
  throw new VirtError('INTERNAL_ERROR', { detail: `image ${depth} of disk '${targetOf(disk)}' has no number` });
}

/**
 * The string by which the image above `first` will name the one at depth `base`.
 * @param relative as the headers have it, which all have to name what is below relatively
 */
export async function backingString(disk: Disk, first: number, base: number, relative: boolean): Promise<string> {
  if (!relative) return formatLocation(namedLayers(disk)[base]!.location);
  const names = await relativeNames(disk);
  const layers = diskImages(disk).map((_, depth) => ({ relPath: names[depth] }));
  const name = relativeName(layers, first, base);
  if (name !== undefined) return name;
  throw new VirtError('OPERATION_INVALID', { detail: "can't keep relative backing relationship" });
}
