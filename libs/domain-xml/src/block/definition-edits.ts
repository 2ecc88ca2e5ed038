/**
 * What block operations of a running guest do to its disk in the definition, which may say less of the chain than the live
 * document, or may be about another image by now. (facts: backing-chains-xml §8)
 *
 * Each takes the live disk as it was before the operation, and gives the definition's disk as it is then; an untouched one is a
 * copy too.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Disk } from '../elements/disk';
import { copyModel } from '../schema';
import { isEmptyDrive } from '../qemu/block-chain';
import { withOverlay, withoutLayers } from './chain-edits';
import { diskImages, isChainEnded, withImages, type DiskImage } from './images';

/**
 * Whether two images lie at the same place; how they are opened does not matter. A volume is also the file or device that it was
 * found to be at the start, which still tells its name.
 */
export function isSameLocation(one: DiskImage, other: DiskImage): boolean {
  const volumes = [one, other].map(({ source: { pool, volume } }) => [pool, volume]);
  if ((one.type === 'volume' || other.type === 'volume') && one.source.volume !== undefined)
    return isDeepStrictEqual(volumes[0], volumes[1]);
  return isDeepStrictEqual(placeOf(one), placeOf(other));
}

function placeOf({ type, source }: DiskImage): unknown {
  const { file, dev, dir, path, pool, volume, protocol, name, snapshot, namespace, address } = source;
  switch (type) {
    case 'file':
      return [type, file];
    case 'block':
    case 'vhostvdpa':
      return [type, dev];
    case 'dir':
      return [type, dir];
    case 'network': {
      const hosts = source.hosts.map((host) => [host.transport ?? 'tcp', host.name, host.port, host.socket]);
      return [type, protocol, name, snapshot?.name, hosts];
    }
    case 'volume':
      return [type, pool, volume];
    case 'nvme':
      return [type, namespace, address];
    case 'vhostuser':
      return [type, path];
  }
}

/** Whether both disks have the same image on top; two empty drives have. */
function isSameTop(live: Disk, defined: Disk): boolean {
  const [one] = diskImages(live);
  const [other] = diskImages(defined);
  return one && other ? isSameLocation(one, other) : isEmptyDrive(live) && isEmptyDrive(defined);
}

/**
 * Whether both disks name the same images from the top down.
 * @param bottom depth of the last image that counts; undefined: all do, and both chains are told to their end
 */
function isSameChain(live: Disk, defined: Disk, bottom?: number): boolean {
  const [ones, others] = [diskImages(live), diskImages(defined)];
  if (bottom === undefined) {
    if (ones.length !== others.length || isChainEnded(live) !== isChainEnded(defined)) return false;
  } else if (ones.length <= bottom || others.length <= bottom) return false;
  return ones.slice(0, bottom === undefined ? undefined : bottom + 1).every((one, depth) => {
    const other = others[depth];
    return other !== undefined && isSameLocation(one, other);
  });
}

/** After a snapshot: the definition follows when it is about the same image; an image of its own choice it keeps. */
export const definedWithOverlay = (defined: Disk, live: Disk, overlay: DiskImage): Disk =>
  isSameTop(live, defined) ? withOverlay(lookedUp(defined, live), forDefinition(overlay)) : copyModel(defined);

/** A volume is named by its pool only as the disk's own image: below another it is the file or device that it is. */
function lookedUp(defined: Disk, live: Disk): Disk {
  const [top] = diskImages(live);
  if (defined.type !== 'volume' || !top) return defined;
  return withImages(defined, [forDefinition(top), ...diskImages(defined).slice(1)], isChainEnded(defined));
}

/**
 * After a pull or a commit that took images from the middle or the bottom (`first` > 0): the same is taken from the definition
 * when it tells the same chain; otherwise it no longer tells what lies below its image, which is looked up at the next start.
 */
export function definedWithoutLayers(defined: Disk, live: Disk, first: number, base: number | undefined): Disk {
  if (isSameChain(live, defined, base)) return withoutLayers(defined, first, base);
  const [top] = diskImages(defined);
  return top && isSameTop(live, defined) ? withImages(defined, [top], false) : copyModel(defined);
}

/**
 * After the switch to another image, by a copy or the commit of the active layer.
 * @param base for a commit: depth of the image that was committed into
 * @param image the disk's new image
 * @param given images below it that the user named, and whether he said that they are all
 */
export function definedWithSource(
  defined: Disk,
  live: Disk,
  image: DiskImage,
  { base, given = [], ended = false }: { base?: number; given?: readonly DiskImage[]; ended?: boolean } = {},
): Disk {
  if (base !== undefined && isSameChain(live, defined, base)) return withoutLayers(defined, 0, base);
  if (!isSameTop(live, defined)) return copyModel(defined);
  return withImages(defined, [image, ...given].map(forDefinition), ended);
}

/** An image without what only a running guest has. */
function forDefinition(image: DiskImage): DiskImage {
  const copy = copyModel(image);
  if (copy.type !== 'volume') {
    delete copy.source.pool;
    delete copy.source.volume;
  }
  for (const source of [copy.source, copy.source.dataStore?.source]) {
    delete source?.index;
    delete source?.privateData;
    delete source?.tlsFromConfig;
  }
  return copy;
}
