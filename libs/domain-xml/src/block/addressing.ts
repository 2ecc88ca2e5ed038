/**
 * Which disk, and which image of its chain, a caller means by `vda`, `vda[3]`, `/srv/img/base.qcow2`, and what it is told when there
 * is none, in libvirt's words. (facts: backing-chains-xml §5)
 *
 * Files are not looked at here: who knows the host looks an image up among `namedLayers`, and says `noSuchImage` when it is not there.
 */
import { VirtError, type Location } from '@virtbus/shared';
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import { givenChain } from '../disk-chain';
import { diskImages, storeImages, type DiskImage } from './images';

/**
 * The disk of a domain: by its target, or by the path of its source, which must be no other disk's.
 * Throws `INVALID_ARG`.
 */
export function diskNamed({ devices }: Domain, name: string): Disk {
  const found = name.startsWith('/')
    ? devices.disks.filter((disk) => sourcePath(disk) === name)
    : devices.disks.filter(({ target }) => target.dev === name);
  const [disk] = found;
  if (disk === undefined || found.length > 1)
    throw new VirtError('INVALID_ARG', { detail: `disk '${name}' not found in domain` });
  return disk;
}

/** The path of a disk's image on its host; undefined for what has none. */
export const sourcePath = ({ source, type }: Disk): string | undefined =>
  type === 'block' ? source?.dev : type === 'dir' ? source?.dir : source?.file;

export interface DeviceImage {
  readonly disk: Disk;
  readonly image: DiskImage;
  /** Depth in the disk's chain; undefined for an image of its mirror. */
  readonly depth: number | undefined;
}

/**
 * The image that statistics and thresholds are about: `vda` is the disk's own, `vda[3]` the one with number 3 in its chain, in a
 * data file, or in its mirror. Throws `INVALID_ARG`.
 */
export function deviceImage(domain: Domain, text: string): DeviceImage {
  const { target, index } = deviceName(text);
  const disk = domain.devices.disks.find(({ target: { dev } }) => dev === target);
  const lost = () => new VirtError('INVALID_ARG', { detail: `failed to find disk '${text}'` });
  if (!disk) throw lost();
  const [top] = diskImages(disk);
  const found = index === undefined ? top && { disk, image: top, depth: 0 } : imageNumbered([disk], index);
  if (!found) throw lost();
  return found;
}

/** The image with this number, in the chain of a disk or in its mirror. */
export function imageNumbered(disks: readonly Disk[], index: number): DeviceImage | undefined {
  for (const disk of disks) {
    const images = diskImages(disk);
    const depth = images.findIndex((image) => hasNumber(image, index));
    if (images[depth]) return { disk, image: images[depth], depth };
    const mirrored = mirrorImages(disk).find((image) => hasNumber(image, index));
    if (mirrored) return { disk, image: mirrored, depth: undefined };
  }
  return undefined;
}

function mirrorImages({ mirror }: Disk): DiskImage[] {
  const { type, source, formatElement, backingStore } = mirror ?? {};
  if (type === undefined || source === undefined) return [];
  return [{ type, source, ...(formatElement && { format: formatElement }) }, ...storeImages(backingStore)];
}

const hasNumber = ({ source }: DiskImage, index: number): boolean =>
  source.index === index || source.dataStore?.source?.index === index;

/** `vda[3]` taken apart. Throws `INVALID_ARG`. */
function deviceName(text: string): { target: string; index: number | undefined } {
  const match = /^([^[\]]+)(?:\[(\d{1,9})\])?$/.exec(text);
  if (match?.[1] === undefined)
    throw new VirtError('INVALID_ARG', { detail: `failed to parse block device '${text}'` });
  return { target: match[1], index: match[2] === undefined ? undefined : Number(match[2]) };
}

/** An image of a chain with all the names that it can be called by. */
export interface NamedImage {
  readonly location: Location;
  readonly index?: number;
  readonly relPath?: string;
}

/** The disk's images, top first, to look one up among. Throws `CONFIG_UNSUPPORTED` for a drive without a medium. */
export function namedLayers(disk: Disk): NamedImage[] {
  const chain = givenChain(disk) ?? noMedium(disk);
  const images = diskImages(disk);
  return chain.images.map(({ location }, depth) => {
    const { index, privateData } = images[depth]?.source ?? {};
    const { relPath } = privateData ?? {};
    return { location, ...(index !== undefined && { index }), ...(relPath !== undefined && { relPath }) };
  });
}

function noMedium({ target }: Disk): never {
  throw new VirtError('CONFIG_UNSUPPORTED', { detail: `disk ${target.dev ?? ''} has no source file` });
}

/** Refuses an indexed name that is about another disk: `vdb[1]` where `vda` is meant. Throws `INVALID_ARG`. */
export function checkTargetOf({ target }: Disk, name: string | undefined): void {
  const named = /^(.+)\[(\d+)\]$/.exec(name ?? '');
  if (named && Number(named[2]) > 0 && named[1] !== target.dev)
    throw new VirtError('INVALID_ARG', {
      detail: `requested target '${named[1]}' does not match target '${target.dev ?? ''}'`,
    });
}

/**
 * What a caller is told whose name is no image of the chain.
 * @param below depth of the image beneath which it should have been
 */
export function noSuchImage(disk: Disk, name: string | undefined, below?: number): VirtError<'INVALID_ARG'> {
  const path = sourcePath(disk) ?? disk.source?.name ?? disk.target.dev ?? '';
  const index = /\[(\d+)\]$/.exec(name ?? '')?.[1];
  const beneath = below === undefined ? undefined : nameOf(diskImages(disk)[below]);
  const where = `in chain for '${path}'`;
  const detail =
    name === undefined
      ? `could not find base image ${where}`
      : index !== undefined && Number(index) > 0
        ? `could not find backing store index '${index}' ${where}`
        : `could not find image '${name}' ${beneath === undefined ? '' : `beneath '${beneath}' `}${where}`;
  return new VirtError('INVALID_ARG', { detail });
}

const nameOf = (image: DiskImage | undefined): string => {
  const { file, dev, dir, name } = image?.source ?? {};
  return file ?? dev ?? dir ?? name ?? '';
};
