/**
 * Every reason, known before anything is touched, why a guest cannot leave this host or run on it. Texts are libvirt's
 * where it has them (facts: migration §3).
 */
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { identityKey, localImages, machineId } from '@virtbus/disk-image';
import { cpuLoss, givenChain, givenCpu, type Disk, type Domain } from '@virtbus/domain-xml';
import type { MigrationAsk, Shown } from '@virtbus/driver-runtime';
import { isVirtError, VirtError, type ErrorCode, type ImageIdentity, type MigrationReason } from '@virtbus/shared';
import type { MigrationHost } from '../facets/migration';
import type { QemuGuest } from '../guest';
import { onTap } from '../networks';
import { mustBeTrusted, showCertificates } from '../certificates';
import { refuseWrittenOut } from '../written-out';
import { copiedDisks } from './copied-disks';
import { topNodes } from './nodes';
import { capabilitiesFor } from './parameters';
import { requireUserfaultfd } from './userfaultfd';
import { anywhere, ownAddress, parsePlace } from './places';

type Ask = Omit<MigrationAsk, 'id'>;
type Where = MigrationReason['where'];

/** What this host shares with the others, beside what its file systems say. */
export interface Sharing {
  /** Folders that lie at the same path on every host. */
  folders: readonly string[];
}

export async function blockersOf(guest: QemuGuest, ask: Ask, sharing: Sharing): Promise<MigrationReason[]> {
  const found = new Reasons('source');
  const { options, signal } = ask;
  const { live } = guest;
  await found.of(async () => {
    const { 'blocked-reasons': blocked = [] } = await guest.ask('query-migrate', undefined, signal);
    if (blocked.length > 0) found.add('OPERATION_INVALID', `cannot migrate domain: ${blocked.join('; ')}`);
    const jobs = (await guest.askRaw('query-block-jobs', undefined, signal)) as unknown[];
    if (jobs.length > 0) found.add('OPERATION_INVALID', 'domain has active block job');
    const known = await guest.ask('query-migrate-capabilities', undefined, signal);
    capabilitiesFor(options, 'source', new Set(known.map(({ capability }) => capability)));
    await refuseWrittenOut(guest, signal);
  });
  if (options.tls) await found.of(() => showCertificates(options.tls?.directory, 'client'));
  if (live.devices.disks.some(({ transient }) => transient !== undefined)) {
    found.add('OPERATION_INVALID', 'migration with transient disk is not supported');
  }
  if (guest.state.reason === 'ioerror' && options.abortOnError) {
    found.add('OPERATION_INVALID', 'cannot migrate domain with I/O error');
  }
  await found.of(async () => {
    const copied = new Set(copiedDisks(live, options));
    const kept = live.devices.disks.filter((disk) => !copied.has(disk) && !disk.readonly && disk.device !== 'cdrom');
    if (options.unsafe) return;
    for (const disk of kept) await judge(disk, sharing, found);
  });
  return found.all;
}

/** Of a domain that is off its definition moves alone: without its firmware variables it would start with those of the template. */
export async function offlineBlockersOf(
  { os: { nvram } }: Domain,
  { options }: Pick<Ask, 'options'>,
  sharing: Sharing,
): Promise<MigrationReason[]> {
  const found = new Reasons('source');
  const path = nvramOf(nvram);
  if (options.unsafe || path === undefined || !existsSync(path)) return [];
  await found.of(async () => {
    if (await isReached('file', path, sharing)) return;
    const what = `Migration without shared storage is unsafe: the firmware variables are ${path}, which other hosts do not reach`;
    found.add('MIGRATE_UNSAFE', `${what}; copy the file to the same place on the target, then say --unsafe`);
  });
  return found.all;
}

export function showOffline({ os }: Domain): Shown {
  const nvram = nvramOf(os.nvram);
  return nvram !== undefined && existsSync(nvram) ? { nvram } : {};
}

const nvramOf = (nvram: Domain['os']['nvram']): string | undefined => nvram?.path ?? nvram?.source?.file;

/** Whoever said that they were copied may have copied them elsewhere: it would start with those of the template, and tell nobody. */
function mustHaveVariables({ os }: Domain, onSource: string | undefined): void {
  const path = nvramOf(os.nvram);
  if (onSource === undefined || path === undefined || existsSync(path)) return;
  const remedy = `copy ${onSource} of its source there first, or remove it if the domain is to start with new ones`;
  throw new VirtError('SYSTEM_ERROR', { detail: `the firmware variables ${path} are not on this host; ${remedy}` });
}

async function judge(disk: Disk, sharing: Sharing, found: Reasons): Promise<void> {
  const path = disk.source?.file ?? disk.source?.dev;
  if (path === undefined) return; // network disks are shared; an empty drive has nothing to lose
  const shared = await isReached(disk.type === 'block' ? 'block' : 'file', path, sharing);
  const name = disk.target.dev ?? path;
  if (!shared) {
    const what = `Migration without shared storage is unsafe: disk ${name} is ${path}, which other hosts do not reach`;
    return found.add('MIGRATE_UNSAFE', `${what}; copy it (--copy-storage-all) or say --unsafe`);
  }
}

/** By the other hosts, at the same path. */
async function isReached(type: 'file' | 'block', path: string, { folders }: Sharing): Promise<boolean> {
  const declared = folders.some((folder) => path.startsWith(`${folder.replace(/\/$/, '')}/`));
  return declared || isShared(type, path);
}

async function isShared(type: 'file' | 'block', path: string): Promise<boolean> {
  const kind = (await identityOf(type, path))?.kind;
  return kind === 'shared-file' || kind === 'disk' || kind === 'network';
}

async function identityOf(type: 'file' | 'block', path: string): Promise<ImageIdentity | undefined> {
  const image = await localImages({ machine: machineId() })({ type, path }, 'given');
  await image?.close();
  return image?.identity;
}

/** Which image a disk has, as leases name it; undefined for one that is not there. */
async function imageOf({ source, type }: Disk): Promise<string | undefined> {
  const path = source?.file ?? source?.dev;
  const identity = path === undefined ? undefined : await identityOf(type === 'block' ? 'block' : 'file', path);
  return identity && identityKey(identity);
}

/** What the target needs to know of this side. */
export async function show(
  guest: QemuGuest,
  { options, signal }: Ask,
  { capabilitiesOf }: Pick<MigrationHost, 'capabilitiesOf'>,
): Promise<Shown> {
  const found = new Reasons('source');
  const shown: Shown = { cpu: givenCpu(guest.live, capabilitiesOf(guest.live)) };
  // What fails here is a blocker, and told as one.
  await found.of(async () => {
    const disks = copiedDisks(guest.live, options);
    const nodeOf = disks.length > 0 ? await topNodes(guest, signal) : undefined;
    const nodes = disks.length > 0 ? await guest.ask('query-named-block-nodes', { flat: true }, signal) : [];
    const copies = disks.map(async (disk) => {
      const { image } = nodes.find((node) => node['node-name'] === nodeOf?.(disk)) ?? {};
      return { target: disk.target.dev ?? '', allocated: image?.['actual-size'] ?? 0, image: await imageOf(disk) };
    });
    shown.copies = await Promise.all(copies);
  });
  await found.of(() => void (options.tls && (shown.certificates = showCertificates(options.tls.directory, 'client'))));
  return shown;
}

/** What a guest of this document lacks here. */
export async function obstaclesFor(
  domain: Domain,
  { options, copies = [], certificates, cpu, nvram }: Ask & Shown,
  host: Pick<MigrationHost, 'ports' | 'address' | 'prepare' | 'capabilitiesOf' | 'boot'>,
): Promise<MigrationReason[]> {
  const found = new Reasons('target');
  await found.of(() => host.prepare(domain));
  await found.of(() => mustHaveVariables(domain, nvram));
  await found.of(() => {
    const loss = cpuLoss(domain, cpu, host.capabilitiesOf(domain));
    if (loss !== undefined) found.add('CPU_INCOMPATIBLE', loss);
  });
  await found.of(async () => {
    const asked = options.uri === undefined ? undefined : parsePlace(options.uri);
    const listen = options.listen ?? anywhere(asked?.host ?? ownAddress(host.address));
    const needed = (asked?.port === undefined ? 1 : 0) + (copies.length > 0 && options.disksPort === undefined ? 1 : 0);
    const look = {};
    try {
      for (let taken = 0; taken < needed; taken++) await host.ports.take(listen, look);
    } finally {
      host.ports.release(look);
    }
  });
  await found.of(() => {
    if (!options.tls) return;
    const { authority, certificate } = showCertificates(options.tls.directory, 'server');
    if (!certificates) return;
    const name = options.tls.peer ?? (options.uri ? parsePlace(options.uri).host : ownAddress(host.address));
    mustBeTrusted(certificate, certificates.authority, 'target', name);
    mustBeTrusted(certificates.certificate, authority, 'source');
  });
  await found.of(async () => {
    if (options.postcopy) await requireUserfaultfd(host.capabilitiesOf(domain).emulator, host.boot.user);
  });
  for (const { source, type } of domain.devices.interfaces) {
    const bridge = type === 'bridge' ? source?.bridge : undefined;
    if (bridge === undefined || existsSync(`/sys/class/net/${bridge}/bridge`)) continue;
    found.add('SYSTEM_ERROR', `Cannot get interface MTU on '${bridge}': there is no such bridge on this host`);
  }
  if (domain.devices.interfaces.some(onTap) && !existsSync('/dev/net/tun')) {
    found.add('SYSTEM_ERROR', 'this host cannot make tap devices: /dev/net/tun is missing');
  }
  await found.of(async () => {
    for (const disk of domain.devices.disks) {
      const path = disk.source?.file ?? disk.source?.dev;
      const copy = copies.find(({ target }) => target === disk.target.dev);
      if (path === undefined) continue;
      if (existsSync(path)) {
        await found.of(() => mustBeAnother(disk, path, copy?.image));
        continue;
      }
      if (copiedDisks(domain, options).includes(disk)) {
        await found.of(() => mustHaveRoom(disk, path, copy?.allocated ?? 0));
        continue;
      }
      const remedy = 'it has to be on storage that both hosts reach, or be copied (--copy-storage-all)';
      found.add('SYSTEM_ERROR', `Cannot access storage file '${path}' of disk ${disk.target.dev ?? ''}: ${remedy}`);
    }
  });
  return found.all;
}

/** What is written while it is read is no copy. */
async function mustBeAnother(disk: Disk, path: string, image: string | undefined): Promise<void> {
  if (image === undefined || image !== (await imageOf(disk))) return;
  const remedy = 'leave it where it is (without --copy-storage-all), or name another place for the copy (--xml)';
  const detail = `disk ${disk.target.dev ?? path} would be copied onto itself: both hosts reach ${path}; ${remedy}`;
  throw new VirtError('OPERATION_INVALID', { detail });
}

/** An image that is missing is made by storage: here is a place for it, and it stands on what is here. */
async function mustHaveRoom(disk: Disk, path: string, bytes: number): Promise<void> {
  const name = disk.target.dev ?? path;
  const cannot = (why: string): VirtError =>
    new VirtError('SYSTEM_ERROR', { detail: `Cannot make storage file '${path}' of disk ${name}: ${why}` });
  if (disk.type !== 'file') throw cannot('it is no file; make it on the target first');
  const format = disk.driver?.type ?? 'raw';
  if (format !== 'raw' && format !== 'qcow2')
    throw cannot(`no image of format '${format}' is made; make it there first`);
  const folder = dirname(path);
  if (!existsSync(folder)) throw cannot(`there is no folder ${folder}; make it there first`);
  const [, below] = givenChain(disk)?.images ?? [];
  if (below && 'path' in below.location && !existsSync(below.location.path)) {
    throw cannot(`it stands on ${below.location.path}, which is not there; copy that first`);
  }
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < bytes) {
    throw cannot(`${folder} has ${bavail * bsize} bytes free, and the disk takes ${bytes}`);
  }
}

class Reasons {
  readonly all: MigrationReason[] = [];

  constructor(private readonly where: Where) {}

  add(code: ErrorCode, detail: string): void {
    this.all.push({ where: this.where, code, message: new VirtError(code, { detail }).message });
  }

  /** What is thrown is a reason too. */
  async of(look: () => unknown): Promise<void> {
    try {
      await look();
    } catch (error) {
      if (!isVirtError(error)) throw error;
      this.all.push({ where: this.where, code: error.code, message: error.message });
    }
  }
}
