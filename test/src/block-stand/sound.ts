/**
 * Whether all is sound after work on a guest's images: data, documents, headers, leases, QEMU's nodes and jobs, files.
 * Each check names what is wrong; nothing named means sound.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import {
  listBlockJobs,
  qmpCommand,
  showChain,
  storageLeases,
  verifyChain,
  type ChainDocument,
  type ChainLayer,
} from '@virtbus/shared';
import { call, callDriver } from '@virtbus/shared/bus';
import { spawnSync } from 'node:child_process';
import { qemuImg } from '../integration/storage-stand';
import { contentOf, losses, type Flushed } from './content';
import { disks, type WritingGuest } from './writing-guest';

export interface Expectations {
  /** Names of images from the active one down, by disk. Not looked at where left out. */
  chains?: Readonly<Record<string, readonly string[]>>;
  /** Names of files in the guest's folder that no disk stands on. */
  besides?: readonly string[];
  /** The active image of the definition, by disk; that of the guest when left out. */
  defined?: Readonly<Record<string, string>>;
  /** Names of bitmaps of the active images. */
  bitmaps?: readonly string[];
  /** What must be there; all that the guest has flushed when left out. */
  flushed?: Flushed;
  /** After a crash of QEMU clusters may be lost to their image, though no data is. */
  leaks?: boolean;
}

type Chains = ReadonlyMap<string, ChainDocument>;

/** Of a guest that runs; it is destroyed for the checks of its images. Returns what is wrong. */
export async function faultsOf(guest: WritingGuest, expected: Expectations = {}): Promise<string[]> {
  const inside = await guest.losses(expected.flushed);
  const chains = await chainsOf(guest);
  const live = await faultsOfRunning(guest, chains, expected);
  await guest.destroy();
  return [...inside.map((fault) => `read by the guest: ${fault}`), ...live, ...faultsOfImages(guest, chains, expected)];
}

/** The same without an end of the guest, and sooner: it stops to write for a moment, and its images are read from outside. */
export async function faultsMeanwhile(guest: WritingGuest, expected: Expectations = {}): Promise<string[]> {
  await guest.pauseWriting();
  const chains = await chainsOf(guest);
  const faults = await faultsOfRunning(guest, chains, expected);
  for (const [disk, { layers }] of chains) faults.push(...lossesOfChain(guest, disk, layers[0], expected.flushed));
  await guest.write();
  return faults;
}

async function faultsOfRunning(guest: WritingGuest, chains: Chains, expected: Expectations): Promise<string[]> {
  const checks = [
    documents(guest, chains, expected),
    headers(guest),
    faultsOfLeases(guest, chains),
    qemu(guest, chains, expected),
  ];
  const faults = (await Promise.all(checks)).flat();
  const files = [...chains.values()].flatMap(pathsOf).map((path) => basename(path));
  const left = readdirSync(guest.folder).filter((name) => ![...files, ...(expected.besides ?? [])].includes(name));
  if (left.length > 0) faults.push(`files are left behind: ${left.join(', ')}`);
  return faults;
}

export async function chainsOf({ bus, uuid, host }: WritingGuest): Promise<Chains> {
  const { chains } = await call(bus, showChain, { domain: uuid }, { target: host });
  return new Map(chains.flatMap(({ target, chain }) => (target && chain ? [[target, chain] as const] : [])));
}

/**
 * The chains that a start would find. Of a guest that has just ended storage may not have heard: its document is still that of
 * the guest, or of before its last snapshot.
 */
export async function chainsDefined(guest: WritingGuest): Promise<Chains> {
  const { bus, host } = guest;
  const definition = await guest.xml(true);
  const found = disks.map(async (disk) => {
    const [image] = sourcesOf(definition, disk);
    const [, format] = /<driver [^>]*type='([^']*)'/.exec(elementOf(definition, disk)) ?? [];
    const ask = { image, format: format as ChainLayer['format'] };
    const { chains } = await call(bus, showChain, ask, { target: host });
    const { chain, fault } = chains[0]!;
    if (!chain) throw new Error(`disk ${disk} would not start: ${fault}`);
    return [disk, chain] as const;
  });
  return new Map(await Promise.all(found));
}

function pathsOf({ layers }: ChainDocument): string[] {
  return layers.map(({ location }) => ('path' in location ? location.path : JSON.stringify(location)));
}

/** Chain document, live and persistent definition tell the same. */
async function documents(guest: WritingGuest, chains: Chains, expected: Expectations): Promise<string[]> {
  const faults: string[] = [];
  const [live, definition] = [await guest.xml(), await guest.xml(true)];
  for (const disk of disks) {
    const shown = pathsOf(chains.get(disk) ?? { version: 1, layers: [] });
    const wanted = expected.chains?.[disk]?.map((name) => (name.startsWith('/') ? name : guest.file(name)));
    if (wanted) faults.push(...differ(`the chain of ${disk}`, shown, wanted));
    faults.push(...differ(`the live document's chain of ${disk}`, sourcesOf(live, disk), shown));
    const defined = expected.defined?.[disk];
    const top = defined === undefined ? shown[0]! : defined.startsWith('/') ? defined : guest.file(defined);
    faults.push(...differ(`the definition's image of ${disk}`, sourcesOf(definition, disk).slice(0, 1), [top]));
  }
  if (/<mirror|job=/.test(live)) faults.push('the live document shows a job');
  return faults;
}

function differ(what: string, is: readonly string[], should: readonly string[]): string[] {
  return is.join() === should.join() ? [] : [`${what} is [${is.join(', ')}], not [${should.join(', ')}]`];
}

/** Paths of a disk's images as a document has them, the active one first. */
const sourcesOf = (xml: string, disk: string): string[] =>
  [...elementOf(xml, disk).matchAll(/<source (?:file|dev)='([^']*)'/g)].map(([, path]) => path!);

function elementOf(xml: string, disk: string): string {
  const element = xml.split('<disk ').find((part) => part.includes(`<target dev='${disk}'`)) ?? '';
  return element.split('</disk>')[0]!;
}

async function headers({ bus, uuid, host }: WritingGuest): Promise<string[]> {
  const { disks: found } = await call(bus, verifyChain, { domain: uuid }, { target: host });
  return found.flatMap(({ target, differences }) =>
    differences.map(({ layer, what }) => `header of ${target}, layer ${layer}: ${what}`),
  );
}

/** Whether the guest's host has leased to it what its chains say, and nothing else. */
export async function faultsOfLeases({ stack, uuid, host }: WritingGuest, chains: Chains): Promise<string[]> {
  const service = await stack.serviceBus();
  const { holders } = await callDriver(service, { host, driver: 'storage' }, storageLeases, { domain: uuid });
  const held = holders.flatMap((holder) => holder.leases.map(({ target, mode, path }) => `${target} ${mode} ${path}`));
  const wanted = [...chains].flatMap(([target, chain]) =>
    pathsOf(chain).map((path, index) => `${target} ${index === 0 ? 'exclusive' : 'shared'} ${path}`),
  );
  return differ('what is leased', [...new Set(held)].sort(), wanted.sort());
}

interface Node {
  'node-name': string;
  file: string;
  'dirty-bitmaps'?: { name?: string }[];
}

async function qemu({ bus, uuid }: WritingGuest, chains: Chains, { bitmaps = [] }: Expectations): Promise<string[]> {
  const ask = async <T>(execute: string, args: Record<string, unknown> = {}): Promise<T> =>
    (await call(bus, qmpCommand, { execute, arguments: args }, { target: uuid })).result as T;
  const nodes = await ask<Node[]>('query-named-block-nodes', { flat: true });
  const layers = [...chains.values()].flatMap(({ layers: all }) => all).length;
  const faults: string[] = [];
  const names = nodes.map((node) => node['node-name']);
  if (names.length !== 2 * layers) faults.push(`${layers} images have the nodes ${names.sort().join(', ')}`);
  const found = nodes.flatMap((node) => (node['dirty-bitmaps'] ?? []).map(({ name }) => name ?? 'without a name'));
  faults.push(...differ('what has bitmaps', [...new Set(found)].sort(), [...bitmaps].sort()));
  const jobs = await ask<{ id: string }[]>('query-jobs');
  if (jobs.length > 0) faults.push(`QEMU still has the jobs ${jobs.map(({ id }) => id).join(', ')}`);
  const { jobs: known } = await call(bus, listBlockJobs, {}, { target: uuid });
  if (known.length > 0)
    faults.push(`still known are the jobs ${known.map(({ id, state }) => `${id} (${state})`).join()}`);
  return faults;
}

/** Of images that nobody has open: each is consistent, and the guest's data is there for whoever reads the active one. */
export function faultsOfImages(guest: WritingGuest, chains: Chains, expected: Expectations = {}): string[] {
  const faults: string[] = [];
  for (const [disk, chain] of chains) {
    for (const { location, format } of chain.layers) {
      if (format !== 'qcow2' || !('path' in location)) continue;
      const { status, stdout } = spawnSync('qemu-img', ['check', '-f', format, location.path], { encoding: 'utf8' });
      // 2: corruption; 3: clusters that belong to nothing.
      if (status === 0 || (status === 3 && expected.leaks)) continue;
      faults.push(`qemu-img check ${basename(location.path)}: ${stdout.trim().split('\n').slice(-4).join('; ')}`);
    }
    faults.push(...lossesOfChain(guest, disk, chain.layers[0], expected.flushed));
  }
  return faults;
}

function lossesOfChain(guest: WritingGuest, disk: string, top: ChainLayer | undefined, flushed?: Flushed): string[] {
  if (!top || !('path' in top.location)) return [];
  return lossesOfImage(guest, disk, top.location.path, top.format, flushed);
}

/** What an image, with all that it stands on, lacks of what a disk of the guest must hold. */
export function lossesOfImage(
  guest: WritingGuest,
  disk: string,
  path: string,
  format: string,
  flushed?: Flushed,
): string[] {
  const seen = guest.stack.folder.file(`${guest.name}-${disk}.seen`);
  qemuImg('convert', '-U', '-f', format, '-O', 'raw', path, seen);
  const found = contentOf(disk, readFileSync(seen));
  rmSync(seen);
  return losses(disk, found, guest.layers.get(disk)!.content, flushed ?? guest.flushed);
}
