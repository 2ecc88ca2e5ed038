/**
 * The chain an image stands on, read from headers one after the other, each opened once and read within bounds.
 *
 *   given layers ─▶ last given layer ─▶ what headers name ─▶ … ─▶ a layer that stands on nothing
 *
 * Formats come from the document or from the overlay, never from looking; policy `compatible` makes libvirt's one exception.
 */
import {
  isVirtError,
  VirtError,
  type ChainDocument,
  type ChainLayer,
  type FormatKnown,
  type ImageFormat,
  type Location,
} from '@virtbus/shared';
import { readHeader } from '../header/read-header';
import type { ImageHeader } from '../header/types';
import { identityKey, networkIdentity } from '../local/identity';
import { describeLocation, formatLocation } from '../location/format';
import { resolveLocation, type ResolvedLocation } from '../location/resolve';
import type { OpenedImage } from '../reader';
import { canHaveBacking } from './can-have-backing';
import { repairCommand } from './repair-command';
import type { ChainStart, DiscoverOptions, GivenLayer } from './types';

/** libvirt's longest chain. */
const defaultDepth = 200;

/** An image to look at, and all that was said of it before. */
interface Next {
  readonly location: Location;
  readonly trust: 'given' | 'named';
  readonly relPath?: string | undefined;
  /** Undefined: nobody has said it, and the header of `overlay` does not either. */
  readonly format?: ImageFormat | undefined;
  readonly formatKnown: FormatKnown;
  readonly safeToProbe?: boolean | undefined;
  readonly dataFile?: Location | undefined;
  /** The image above. */
  readonly overlay?: { readonly location: Location; readonly format: ImageFormat } | undefined;
  /** The string in the overlay. */
  readonly recorded?: string | undefined;
  /** What the header says of the layer below counts. */
  readonly followed: boolean;
}

/**
 * @throws VirtError BACKING_FORMAT_MISSING; IMAGE_INVALID for a header that is corrupt, names what it must not, or closes a loop;
 *   SYSTEM_ERROR when an image is missing
 */
export async function discoverChain(start: ChainStart, options: DiscoverOptions): Promise<ChainDocument> {
  const top = describeLocation(start.location);
  const layers: ChainLayer[] = [];
  const seen = new Set<string>();
  const queue = givenLayers(start);
  for (let next = queue.shift(); next;) {
    if (layers.length >= (options.maxDepth ?? defaultDepth)) tooDeep(top);
    const { layer, below } = await look(next, layers.length, options);
    const key = layer.identity && identityKey(layer.identity);
    if (key !== undefined) {
      if (seen.has(key)) tooDeep(top);
      seen.add(key);
    }
    layers.push(layer);
    next = queue.shift() ?? below;
  }
  return { version: 1, layers };
}

function givenLayers(start: ChainStart): Next[] {
  const given = [start, ...(start.below ?? [])];
  return given.map((layer: GivenLayer, index) => ({
    location: layer.location,
    trust: 'given',
    format: layer.format ?? 'raw',
    formatKnown: layer.format === undefined ? 'default' : (layer.formatKnown ?? 'given'),
    dataFile: layer.dataFile,
    followed: index === given.length - 1 && start.ended !== true,
  }));
}

function tooDeep(image: string): never {
  throw new VirtError('IMAGE_INVALID', {
    image,
    detail: `backing store for ${image} is self-referential or too deeply nested`,
  });
}

async function look(
  next: Next,
  index: number,
  options: DiscoverOptions,
): Promise<{ layer: ChainLayer; below?: Next | undefined }> {
  const image = await opened(next, options);
  if (image === undefined) return { layer: unread(next, index) };
  try {
    const location = placeOf(next.location, image);
    const header = await headerOf(next, image, options);
    const layer = describe(next, index, location, header, image);
    const dataFile = await dataFileOf(next, location, header, options);
    const below = next.followed && header.backing ? follow(header.backing.string, header, location) : undefined;
    return { layer: { ...layer, ...(dataFile && { dataFile }) }, below };
  } finally {
    await image.close();
  }
}

async function opened({ location, trust, overlay }: Next, { open }: DiscoverOptions): Promise<OpenedImage | undefined> {
  try {
    return await open(location, trust);
  } catch (error) {
    if (!overlay || !isVirtError(error, 'SYSTEM_ERROR')) throw error;
    const detail = `${error.details.detail} (the backing file of '${describeLocation(overlay.location)}')`;
    throw new VirtError('SYSTEM_ERROR', { detail }, { cause: error });
  }
}

/** A place where we have no client: known as far as its overlay tells. */
function unread(next: Next, index: number): ChainLayer {
  const name = describeLocation(next.location);
  const format = next.format ?? missingFormat(next);
  if (next.followed && canHaveBacking(format)) {
    throw new VirtError('IMAGE_INVALID', {
      image: name,
      detail: `what it stands on is not known, as a ${format} image there can not be read; describe the layers below in the domain's <backingStore>`,
    });
  }
  const identity = next.location.type === 'network' ? networkIdentity(next.location) : undefined;
  return {
    index,
    location: next.location,
    format,
    formatKnown: next.formatKnown,
    ...(next.relPath !== undefined && { relPath: next.relPath }),
    ...(identity && { identity }),
  };
}

/** A name in a header can be that of a folder or a device. */
function placeOf(location: Location, { kind }: OpenedImage): Location {
  if (location.type !== 'file' && location.type !== 'block') return location;
  return kind === 'dir' ? { type: 'dir', path: location.path } : { ...location, type: kind };
}

async function headerOf(next: Next, image: OpenedImage, options: DiscoverOptions): Promise<ImageHeader> {
  const name = describeLocation(next.location);
  if (image.kind === 'dir') {
    return { format: next.formatKnown === 'default' ? 'dir' : (next.format ?? 'dir'), capacity: 0n };
  }
  const reader = sliceOf(next.location, image);
  if (next.format !== undefined) return readHeader(reader, { image: name, format: next.format });
  if (options.policy !== 'compatible') missingFormat(next);
  const header = await readHeader(reader, { image: name });
  if (!next.safeToProbe && (header.backing || header.dataFile)) missingFormat(next);
  // QEMU has no driver of this name: an optical image is raw.
  return header.format === 'iso' ? { ...header, format: 'raw' } : header;
}

function sliceOf(location: Location, image: OpenedImage): Pick<OpenedImage, 'size' | 'read'> {
  const slice = 'slice' in location ? location.slice : undefined;
  if (!slice) return image;
  const size = Math.max(0, Math.min(slice.size, image.size - slice.offset));
  return { size, read: (offset, length) => image.read(slice.offset + offset, Math.min(length, size - offset)) };
}

function missingFormat({ overlay, recorded, location }: Next): never {
  const name = describeLocation(overlay?.location ?? location);
  throw new VirtError('BACKING_FORMAT_MISSING', {
    base: recorded ?? describeLocation(location),
    overlay: name,
    repair: repairCommand(name, overlay?.format ?? 'raw'),
  });
}

function describe(next: Next, index: number, location: Location, header: ImageHeader, image: OpenedImage): ChainLayer {
  const { backing, encryption, clusterSize, compat, features, bitmaps } = header;
  const recorded = backing?.formatText ?? backing?.format;
  return {
    index,
    location,
    format: header.format,
    formatKnown: next.format === undefined ? 'probed' : next.formatKnown,
    capacity: Number(header.capacity),
    physical: image.size,
    ...(next.relPath !== undefined && { relPath: next.relPath }),
    identity: image.identity,
    ...(backing && { backing: { string: backing.string, ...(recorded !== undefined && { format: recorded }) } }),
    ...(encryption && { encryption }),
    ...(clusterSize !== undefined && { clusterSize }),
    ...(compat && { compat }),
    ...(features && features.length > 0 && { features: [...features] }),
    ...(bitmaps && { bitmaps: [...bitmaps] }),
  };
}

async function dataFileOf(
  next: Next,
  image: Location,
  { dataFile }: ImageHeader,
  { open }: DiscoverOptions,
): Promise<ChainLayer['dataFile']> {
  const name = describeLocation(image);
  if (!dataFile) return undefined;
  if (!next.dataFile && dataFile.name === undefined) {
    throw new VirtError('IMAGE_INVALID', {
      image: name,
      detail: 'its data lie in another file and it does not say in which',
    });
  }
  const { location, relPath } = next.dataFile
    ? { location: next.dataFile, relPath: undefined }
    : resolved(dataFile.name ?? '', image, 'data file');
  const file = await open(location, next.dataFile ? 'given' : 'named');
  const identity = file?.identity ?? (location.type === 'network' ? networkIdentity(location) : undefined);
  await file?.close();
  if (file?.kind === 'dir') {
    throw new VirtError('IMAGE_INVALID', {
      image: name,
      detail: `its data file ${describeLocation(location)} is a folder`,
    });
  }
  return {
    location: file ? placeOf(location, file) : location,
    ...(relPath !== undefined && { relPath }),
    ...(identity && { identity }),
    raw: dataFile.raw,
  };
}

function follow(string: string, { backing, format }: ImageHeader, overlay: Location): Next {
  const { location, relPath } = resolved(string, overlay, 'backing file');
  return {
    location,
    trust: 'named',
    relPath,
    format: backing?.format,
    formatKnown: 'recorded',
    safeToProbe: backing?.safeToProbe,
    overlay: { location: overlay, format },
    recorded: string,
    followed: true,
  };
}

/** A place that a header names. Without the credentials that stood there nobody could open it. */
function resolved(string: string, overlay: Location, what: string): ResolvedLocation {
  const result = resolveLocation(string, overlay);
  if (result.dropped.length > 0) {
    throw new VirtError('IMAGE_INVALID', {
      image: describeLocation(overlay),
      detail: `the name of its ${what} holds credentials (${result.dropped.join(', ')}); describe the layer in the domain's <backingStore> with <auth>: ${formatLocation(result.location)}`,
    });
  }
  return result;
}
