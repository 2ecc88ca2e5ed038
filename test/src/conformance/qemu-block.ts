/** The kit of block nodes: sources through QEMU's JSON and back, disks as nodes of each layer, new images, dirty bitmaps. */
import { isDeepStrictEqual } from 'node:util';
import { blockdevOf, formatLocation, parseLocation } from '@virtbus/disk-image';
import {
  type CommandLineContext,
  diskBlocks,
  givenChain,
  headerFormatAt,
  imageCreation,
  numberDisk,
  readXml,
  toJson,
  type Disk,
  type Domain,
  type XmlElement,
} from '@virtbus/domain-xml';
import { ordinaryCapabilities } from '@virtbus/testkit';
import { differenceInText } from './compare';
import { hostContext } from './kit-host';
import { Tally, type Kit, type Runner } from './kit';
import { isBitmapCase, judgeBitmaps, type BitmapCase } from './qemu-bitmaps';
import { QmpShapes, type Send } from './qmp-shapes';
import { domainWith, placeInXml, sourceXml } from './source-xml';

interface Case extends BitmapCase {
  id: string;
  storageType?: string;
  xml?: string;
  input?: string;
  backing?: string;
}

type Json = Record<string, unknown>;

/** What is told of one image: both nodes, the protocol's options alone, and the string for an overlay. */
interface ImageNodes {
  format: Json;
  storage: Json;
  sourceOnly: Json;
  backingString: string;
}

/** The QEMU that the kit is about. */
const recording = 'caps_10.0.0_x86_64.replies';

export const qemuBlock: Runner = (kit) => {
  const tally = new Tally(kit.name);
  const shapes = QmpShapes.beside(kit, recording);
  for (const one of kit.cases<Case>()) {
    const judge = judgeOf(one);
    if (!judge) continue;
    const faults: string[] = [];
    let sent = 0;
    const send: Send = (command, value) => {
      sent += 1;
      faults.push(...[shapes.faultIn(command, value)].filter((fault) => fault !== undefined));
    };
    tally.add(
      one.kind,
      one.id,
      attempt(one, () => judge(kit, one, send)),
    );
    if (sent > 0) tally.add("what QEMU's schema allows", one.id, faults[0]);
  }
  return tally.scores();
};

type Judge = (kit: Kit, one: Case, send: Send) => string | undefined;

function judgeOf(one: Case): Judge | undefined {
  if (isBitmapCase(one)) return judgeBitmaps;
  return { 'source-roundtrip': roundTrip, xml2json: nodes, imagecreate: creation }[one.kind];
}

/** Undefined is a pass. */
function attempt({ expect }: Case, run: () => string | undefined): string | undefined {
  let difference: string | undefined;
  try {
    difference = run();
  } catch (error) {
    return expect === 'error' ? undefined : `refused: ${(error as Error).message}`;
  }
  return expect === 'error' ? 'accepted, but should be refused' : difference;
}

function roundTrip(_kit: Kit, { storageType = '', xml = '' }: Case): string | undefined {
  const location = placeInXml(storageType, xml);
  if (location === undefined) return 'it names no place';
  const text = `json:${JSON.stringify({ file: blockdevOf(location) })}`;
  return differenceInText(xml, sourceXml(parseLocation(text).location));
}

function nodes(kit: Kit, { input = '', expectJson }: Case, send: Send): string | undefined {
  const xml = kit.read(input);
  const found = JSON.parse(renamed(JSON.stringify(imagesOf(xml)), namesIn(readXml(xml)))) as ImageNodes[];
  for (const { storage, format } of found) for (const node of [storage, format]) send('blockdev-add', node);
  const expected = expectJson === undefined ? [] : (JSON.parse(kit.read(expectJson)) as ImageNodes[]);
  return isDeepStrictEqual(found.map(comparable), expected.map(comparable))
    ? undefined
    : `expected ${JSON.stringify(expected)}, got ${JSON.stringify(found)}`;
}

/** How a `json:` string is laid out is nobody's business. */
const comparable = ({ backingString, ...image }: ImageNodes): unknown => ({
  ...image,
  backing: backingString.startsWith('json:')
    ? (JSON.parse(backingString.slice('json:'.length)) as unknown)
    : backingString,
});

interface NumberedDisk {
  domain: Domain;
  context: CommandLineContext;
  disk: Disk;
}

/** The case's disk on a host without any of QEMU's later abilities. */
function numbered(xml: string): NumberedDisk {
  const domain: Domain = domainWith(withTarget(xml));
  const [first] = domain.devices.disks;
  const { disk } = numberDisk(withoutNumbers(first as Disk), 1);
  const context = {
    ...hostContext({}, { ...ordinaryCapabilities, flags: new Set<string>() }, domain),
    allowUnknownChain: true,
  };
  return { domain, context, disk };
}

/** Images that are only to be made are no disk of anybody yet. */
const withTarget = (xml: string): string =>
  xml.includes('<target') ? xml : xml.replace('</disk>', "<target dev='vda' bus='virtio'/></disk>");

/** What the kit's images are made with, bytes. */
const [capacity, physical] = [8589934590, 4294967296];

function creation(kit: Kit, { input = '', backing, expectJson = '' }: Case, send: Send): string | undefined {
  const xml = kit.read(input);
  const { disk, ...guest } = numbered(xml);
  const below = backing === undefined ? undefined : numbered(kit.read(backing)).disk;
  const [lower] = below ? (givenChain(below)?.images ?? []) : [];
  const { protocol, format } = imageCreation(guest, disk, 0, {
    capacity,
    physical,
    ...(below && lower && { backing: { string: formatLocation(lower.location), format: headerFormatAt(below, 0) } }),
  });
  for (const options of [protocol, format]) if (options) send('blockdev-create', { 'job-id': 'create', options });
  const told = toJson({ protocol: protocol ?? null, format: format ?? null });
  const found = JSON.parse(renamed(told, namesIn(readXml(xml)))) as unknown;
  const expected = JSON.parse(kit.read(expectJson)) as unknown;
  return isDeepStrictEqual(found, expected) ? undefined : `expected ${JSON.stringify(expected)}, got ${told}`;
}

function imagesOf(xml: string): ImageNodes[] {
  const { disk, ...guest } = numbered(xml);
  const { steps } = diskBlocks(guest, disk, [], { nextFdSet: () => 0, descriptor: () => 0 });
  const all = steps.flatMap((step) => (step.kind === 'node' ? [JSON.parse(toJson(step.props)) as Json] : []));
  const floppy = disk.device === 'floppy';
  return (givenChain(disk)?.images ?? []).map(({ location }, index) => {
    const node = (layer: string): Json => all.find((one) => one['node-name'] === `libvirt-${index + 1}-${layer}`) ?? {};
    return {
      format: node('format'),
      storage: node('storage'),
      sourceOnly: blockdevOf(location, { floppy }),
      backingString: formatLocation(location),
    };
  });
}

/** Numbers from the top down, whatever the document says. */
function withoutNumbers(disk: Disk): Disk {
  for (let store = disk.backingStore; store; store = store.backingStore) delete store.index;
  return disk;
}

/** The names that the document's private data give to the nodes of each image, from the top down. */
function namesIn(disk: XmlElement): { format: string; storage: string }[] {
  const child = (of: XmlElement | undefined, name: string): XmlElement | undefined =>
    of?.children.find((one) => one.name === name);
  const below = child(disk, 'backingStore');
  const given = child(child(child(disk, 'source'), 'privateData'), 'nodenames')?.children ?? [];
  const named = (type: string): string =>
    given.find(({ attributes }) => attributes['type'] === type)?.attributes['name'] ?? '';
  return [
    { format: named('format'), storage: named('storage') },
    ...(below?.attributes['type'] === undefined ? [] : namesIn(below)),
  ];
}

/** Our names of nodes and secrets as the kit's. QEMU takes names of at most 31 characters. */
function renamed(json: string, names: readonly { format: string; storage: string }[]): string {
  return names.reduce((text, { format, storage }, index) => {
    for (const name of [format, storage]) if (name.length > 31) throw new Error(`Node name too long: '${name}'`);
    const ours = `libvirt-${index + 1}`;
    return text
      .replaceAll(`"${ours}-storage-auth-secret0"`, `"${storage}-secalias"`)
      .replaceAll(`"${ours}-format-encryption-secret0"`, `"${format}-encalias"`)
      .replaceAll(`"${ours}-format"`, `"${format}"`)
      .replaceAll(`"${ours}-storage"`, `"${storage}"`);
  }, json);
}
