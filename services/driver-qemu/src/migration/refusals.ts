/**
 * Every reason, known before anything is touched, why a guest cannot leave this host or run on it. Texts are libvirt's
 * where it has them (facts: migration §3).
 */
import { existsSync } from 'node:fs';
import { localImages, machineId } from '@virtbus/disk-image';
import type { Disk, Domain } from '@virtbus/domain-xml';
import type { MigrationAsk } from '@virtbus/driver-runtime';
import { isVirtError, VirtError, type ErrorCode, type MigrationReason } from '@virtbus/shared';
import type { MigrationHost } from '../facets/migration';
import type { QemuGuest } from '../guest';
import { onTap } from '../networks';
import { copiedDisks } from './copied-disks';
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
  });
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

async function judge(disk: Disk, { folders }: Sharing, found: Reasons): Promise<void> {
  const path = disk.source?.file ?? disk.source?.dev;
  if (path === undefined) return; // network disks are shared; an empty drive has nothing to lose
  const declared = folders.some((folder) => path.startsWith(`${folder.replace(/\/$/, '')}/`));
  const shared = declared || (await isShared(disk.type === 'block' ? 'block' : 'file', path));
  const name = disk.target.dev ?? path;
  if (!shared) {
    const what = `Migration without shared storage is unsafe: disk ${name} is ${path}, which other hosts do not reach`;
    return found.add('MIGRATE_UNSAFE', `${what}; copy it (--copy-storage-all) or say --unsafe`);
  }
}

async function isShared(type: 'file' | 'block', path: string): Promise<boolean> {
  const image = await localImages({ machine: machineId() })({ type, path }, 'given');
  const kind = image?.identity.kind;
  await image?.close();
  return kind === 'shared-file' || kind === 'disk' || kind === 'network';
}

/** What a guest of this document lacks here. */
export async function obstaclesFor(
  domain: Domain,
  { options }: Ask,
  host: Pick<MigrationHost, 'ports' | 'address' | 'prepare' | 'capabilitiesOf' | 'boot'>,
): Promise<MigrationReason[]> {
  const found = new Reasons('target');
  await found.of(() => host.prepare(domain));
  await found.of(async () => {
    const asked = options.uri === undefined ? undefined : parsePlace(options.uri);
    const listen = options.listen ?? anywhere(asked?.host ?? ownAddress(host.address));
    if (asked?.port === undefined) host.ports.release(await host.ports.take(listen));
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
  await found.of(() => {
    for (const disk of domain.devices.disks) {
      const path = disk.source?.file ?? disk.source?.dev;
      if (path === undefined || existsSync(path)) continue;
      const copied = copiedDisks(domain, options).includes(disk);
      const remedy = copied
        ? 'make an image of the same capacity there first'
        : 'it has to be on storage that both hosts reach';
      found.add('SYSTEM_ERROR', `Cannot access storage file '${path}' of disk ${disk.target.dev ?? ''}: ${remedy}`);
    }
  });
  return found.all;
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
