/** The kit of small images: the chain that has to be found from each, or the refusal. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { discoverChain, localImages } from '@virtbus/disk-image';
import { ImageFormat, type ChainDocument, type ChainLayer, type Location } from '@virtbus/shared';
import { findProgram, temporaryFolder } from '@virtbus/testkit';
import { isDeepStrictEqual } from 'node:util';
import { Tally, type Kit, type Runner } from './kit';

interface Case {
  id: string;
  expect: 'ok' | 'error';
  start: string;
  startFormat: string;
  prepare?: string[][];
  expectChain?: ExpectedElement[];
}

interface ExpectedElement {
  path: string;
  type: string;
  format: string;
  capacity: number;
  encrypted: boolean;
  backingString?: string | null;
  backingFormat?: string;
  relPath?: string | null;
  dataFileRaw?: string;
  dataFile?: ExpectedElement;
  protocol?: string;
  host?: string;
}

/** The kit follows fewer levels than a guest may have. */
const maxDepth = 20;

export const imageProbe: Runner = async (kit) => {
  const tally = new Tally(kit.name);
  for (const one of kit.cases<Case>()) {
    if (one.prepare && !findProgram('qemu-img')) continue;
    const reason = await judge(kit, one);
    tally.add('chain', one.id, reason);
    if (mustBeCutShort(one)) tally.add('refused or cut short', one.id, reason);
  }
  return tally.scores();
};

/** Cases in which following what the images say would be unsafe. */
const mustBeCutShort = ({ expect, startFormat }: Case): boolean =>
  expect === 'error' || startFormat === 'auto' || startFormat === 'none';

async function judge(kit: Kit, one: Case): Promise<string | undefined> {
  using folder = temporaryFolder();
  const images = join(kit.folder, 'images');
  const placed = (text: string): string => text.replaceAll('$IMAGES', images).replaceAll('$DIR', folder.path);
  for (const [program = '', ...args] of one.prepare ?? []) execFileSync(program, args.map(placed), { stdio: 'pipe' });
  let chain: ChainDocument;
  try {
    const format = ImageFormat.safeParse(one.startFormat).data;
    chain = await discoverChain(
      { location: { type: 'file', path: placed(one.start) }, format },
      { policy: 'compatible', open: localImages({ machine: 'here' }), maxDepth },
    );
  } catch (error) {
    return one.expect === 'error' ? undefined : `refused: ${(error as Error).message}`;
  }
  if (one.expect === 'error') return `accepted, but should be refused: ${JSON.stringify(chain)}`;
  const expected = JSON.parse(placed(JSON.stringify(one.expectChain))) as ExpectedElement[];
  const found = chain.layers.map(elementOf);
  return isDeepStrictEqual(found, expected)
    ? undefined
    : `expected ${JSON.stringify(expected)}, got ${JSON.stringify(found)}`;
}

function elementOf(layer: ChainLayer): ExpectedElement {
  const { backing, dataFile } = layer;
  return {
    ...placeOf(layer.location),
    format: layer.format,
    // The kit tells sizes out of headers only.
    capacity: layer.format === 'raw' ? 0 : (layer.capacity ?? 0),
    encrypted: layer.encryption !== undefined,
    backingString: backing?.string ?? null,
    backingFormat: backing ? recordedFormat(backing.format) : 'none',
    relPath: layer.relPath ?? null,
    ...(dataFile && {
      dataFileRaw: dataFile.relPath ?? placeOf(dataFile.location).path,
      dataFile: { ...placeOf(dataFile.location), capacity: 0, encrypted: false, format: 'raw' },
    }),
  };
}

/** What the text of the header means: a protocol's name is raw. */
const recordedFormat = (text: string | undefined): string =>
  text === undefined ? 'auto' : (ImageFormat.safeParse(text).data ?? 'raw');

function placeOf(location: Location): Pick<ExpectedElement, 'path' | 'type' | 'protocol' | 'host'> {
  if (location.type !== 'network') return { path: 'path' in location ? location.path : '', type: location.type };
  const [host] = location.hosts;
  return {
    path: location.name ?? '',
    type: 'network',
    protocol: location.protocol,
    ...(host && { host: host.transport === 'unix' ? host.socket : host.name }),
  };
}
