/**
 * The images that a guest has open, read again: which chain the live document makes of them, and where their headers say
 * otherwise. The document rules, as it does for the guest; what it leaves to headers is taken from them.
 */
import { describeLocation, identityKey, recordedFormat, resolveLocation } from '@virtbus/disk-image';
import { givenChain, parseDevice, type Disk, type GivenImage } from '@virtbus/domain-xml';
import type { ChainDocument, ChainLayer, Location, PreparedDisk } from '@virtbus/shared';
import type { Resolver } from './resolve';
import { faultOf } from './show';

/** Where document and headers differ. */
export interface Difference {
  layer: number;
  path: string;
  /** In words. */
  what: string;
}

export interface RereadDisk {
  target: string;
  disk: Disk;
  chain: ChainDocument | undefined;
  /** Each layer could be opened: what the disk stands on is known for sure. */
  whole: boolean;
  differences: Difference[];
}

/**
 * @param xml a `<disk>` of a live document: it shows its whole chain
 * @param before what was known of the disk
 */
export async function reread(
  resolver: Resolver,
  xml: string,
  before: (target: string) => PreparedDisk | undefined,
): Promise<RereadDisk | undefined> {
  const device = parseDevice(xml);
  if (device.list !== 'disks') return undefined;
  const disk = device.value;
  const target = disk.target.dev ?? '';
  const known = before(target)?.chain?.layers ?? [];
  const given = givenChain(disk);
  if (!given) return { target, disk, chain: undefined, whole: true, differences: [] };
  const read = await Promise.all(given.images.map((image, index) => readLayer(resolver, image, index)));
  const layers = read.map(({ layer }, index) => withOrigin(layer, read[index - 1]?.layer, known));
  const contradictions = given.ended ? await Promise.all(layers.map((_, i) => contradiction(resolver, layers, i))) : [];
  const faults = read.map(({ fault }) => fault);
  const differences = layers.flatMap((layer, i): Difference[] => {
    const what = faults[i] ?? contradictions[i];
    return what === undefined ? [] : [{ layer: i, path: describeLocation(layer.location), what }];
  });
  return {
    target,
    disk,
    chain: { version: 1, layers },
    whole: faults.every((fault) => fault === undefined),
    differences,
  };
}

async function readLayer(
  resolver: Resolver,
  { location, format, dataFile }: GivenImage,
  index: number,
): Promise<{ layer: ChainLayer; fault?: string }> {
  try {
    const { layers } = await resolver.chain({ location, format, dataFile, ended: true });
    return { layer: { ...layers[0]!, index } };
  } catch (error) {
    return { layer: { index, location, format: format ?? 'raw', formatKnown: 'given' }, fault: faultOf(error) };
  }
}

/** How the format is known: as it was, or from the header above; the document only repeats it. */
function withOrigin(layer: ChainLayer, above: ChainLayer | undefined, known: readonly ChainLayer[]): ChainLayer {
  const same = known.find((one) => isSame(one, layer) && one.format === layer.format);
  if (above === undefined) return same ? { ...layer, formatKnown: same.formatKnown } : layer;
  const { backing } = above;
  const recorded = backing?.format !== undefined;
  const relPath = backing && resolveLocation(backing.string, above.location).relPath;
  return {
    ...layer,
    formatKnown: same?.formatKnown ?? (recorded ? 'recorded' : layer.formatKnown),
    ...(relPath !== undefined && { relPath }),
  };
}

function isSame(a: ChainLayer, b: ChainLayer): boolean {
  if (a.identity && b.identity) return identityKey(a.identity) === identityKey(b.identity);
  return describeLocation(a.location) === describeLocation(b.location);
}

/** What the header of a layer says of the one below, where that is not what the document says. */
async function contradiction(
  resolver: Resolver,
  layers: readonly ChainLayer[],
  index: number,
): Promise<string | undefined> {
  const { location, backing, capacity } = layers[index]!;
  const below = layers[index + 1];
  // Where we have no client nothing was read.
  if (capacity === undefined) return undefined;
  if (!below) {
    return (
      backing && `the header says that it stands on '${backing.string}'; the document says that it stands on nothing`
    );
  }
  const name = describeLocation(below.location);
  if (!backing) return `the header says that it stands on nothing; the document says that it stands on '${name}'`;
  const recorded = resolveLocation(backing.string, location).location;
  if (!(await isThere(resolver, recorded, below))) {
    return `the header says that it stands on '${backing.string}'; the document says on '${name}'`;
  }
  const { format } = recordedFormat(backing.format ?? '');
  if (format === below.format) return undefined;
  const said = format === undefined ? 'records no format' : `says that the format is ${format}`;
  return `the header ${said} of '${backing.string}', on which it stands; the document says that it is ${below.format}`;
}

async function isThere(resolver: Resolver, location: Location, layer: ChainLayer): Promise<boolean> {
  if (describeLocation(location) === describeLocation(layer.location)) return true;
  try {
    const image = await resolver.opener()(location, 'named');
    await image?.close();
    return !!image && !!layer.identity && identityKey(image.identity) === identityKey(layer.identity);
  } catch (error) {
    faultOf(error);
    return false;
  }
}
