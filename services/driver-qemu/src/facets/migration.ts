/** Moving a running guest to another QEMU, and taking one in. */
import type { Domain, QemuCapabilities } from '@virtbus/domain-xml';
import type { MigrationAsk, MigrationFacet, Transferred } from '@virtbus/driver-runtime';
import { VirtError, type MigrationReason, type MigrationRole } from '@virtbus/shared';
import { activateImages } from '../activate-images';
import type { BootHost } from '../boot';
import type { QemuGuest } from '../guest';
import { copiedDisks, disksBeingCopied, limitCopies } from '../migration/copied-disks';
import { aboutGuest, cookieA, cookieB, cookieC, cookieD, ownersIn, read, sumOf } from '../migration/cookies';
import { topNodes } from '../migration/nodes';
import { capabilitiesFor, resetMigration } from '../migration/parameters';
import type { MigrationPorts } from '../migration/ports';
import { awaitRest, resumeSending, startPostcopy } from '../migration/postcopy';
import { finish, receive } from '../migration/receive';
import { blockersOf, obstaclesFor, offlineBlockersOf, show, showOffline } from '../migration/refusals';
import { clientsHaveGone, screenOf, tellClients } from '../migration/screens';
import { send, withdraw } from '../migration/send';
import { isPostcopy, isUnderWay } from '../migration/transfer';
import type { MigrationInfo } from '../qmp';

export interface MigrationHost {
  ports: MigrationPorts;
  /** How other hosts reach this one; found out when left out. */
  address: string | undefined;
  /** Folders that lie at the same path on every host. */
  sharedFolders: readonly string[];
  /** How long a transfer may stand still, milliseconds. */
  silenceMs: number;
  prepare(domain: Domain): void;
  capabilitiesOf(domain: Domain): QemuCapabilities;
  boot: Omit<BootHost, 'capabilities'>;
}

export function migrationFacet(host: MigrationHost): MigrationFacet<QemuGuest> {
  const sharing = { folders: host.sharedFolders };
  const reception = (domain: Domain) => ({
    ...host,
    boot: { ...host.boot, capabilities: host.capabilitiesOf(domain) },
  });
  return {
    show: (guest, ask) => show(guest, ask, host),
    blockers: (guest, ask) => blockersOf(guest, ask, sharing),
    showOffline,
    offlineBlockers: (domain, ask) => offlineBlockersOf(domain, ask, sharing),
    obstacles: (domain, ask) => obstaclesFor(domain, ask, host),
    begin: async (guest, ask) => {
      refuse(await blockersOf(guest, ask, sharing));
      const known = await guest.ask('query-migrate-capabilities', undefined, ask.signal);
      const capabilities = capabilitiesFor(ask.options, 'source', new Set(known.map(({ capability }) => capability)));
      const disks = await withCapacity(guest, ask);
      const { leases } = ask;
      const more = { leases, owners: lentOf(guest, ask), disks, capabilities };
      const copies = disks.map(({ disk, capacity }) => ({ target: disk.target.dev ?? '', capacity }));
      return { domain: guest.live, cookie: cookieA(aboutGuest(guest), ask, more), copies };
    },
    receive: async (spec, ask) => {
      const about = { name: ask.sourceName, uuid: spec.uuid };
      const owners = ownersIn(read(ask.cookie, 'prepare', about, ask));
      const { guest, uri, nbdPort } = await receive(reception(spec.domain), spec, ask);
      guest.saved.migration!.owners = owners;
      guest.tell({ kind: 'saved' });
      return { guest, uri, cookie: cookieB(about, ask, { nbdPort, graphics: screenOf(guest.live) }) };
    },
    perform: async (guest, ask) => {
      const about = aboutGuest(guest);
      const { nbd, graphics } = read(ask.cookie, 'perform', about, ask);
      await tellClients(guest, graphics, ask);
      const began = Date.now();
      const handOver = (atSwitch: MigrationInfo, how: { certain: boolean }): void => {
        leaveFiles(guest, ask);
        ask.handOver(cookieC(about, ask, atSwitch, began), how);
      };
      await send(guest, { ...ask, nbdPort: nbd?.port, handOver, silenceMs: host.silenceMs });
    },
    finish: async (guest, ask) => {
      const about = { name: ask.sourceName, uuid: guest.live.uuid ?? '' };
      const { statistics } = read(ask.cookie, 'finish', about, ask);
      takeFiles(guest, ask);
      await finish(guest, ask, host);
      return { sum: statistics && sumOf(statistics) };
    },
    arrived: (uuid, ask) => cookieD({ name: ask.sourceName, uuid }, ask),
    confirm: async (guest, ask) => {
      read(ask.cookie, 'confirm', aboutGuest(guest), ask);
      await clientsHaveGone(guest);
      // Of one that a driver of the last release has handed over.
      leaveFiles(guest, ask);
    },
    belongsHere: regainFiles,
    withdraw: async (guest) => {
      await withdraw(guest, host.silenceMs);
      // One that was paused before stays so.
      await activateImages(guest, host.boot.user);
    },
    transferred,
    limits: async (guest, { bandwidth, postcopyBandwidth, downtimeMs }, signal) => {
      const limits = {
        ...(bandwidth === undefined ? {} : { 'max-bandwidth': bandwidth }),
        ...(postcopyBandwidth === undefined ? {} : { 'max-postcopy-bandwidth': postcopyBandwidth }),
        ...(downtimeMs === undefined ? {} : { 'downtime-limit': downtimeMs }),
      };
      await guest.ask('migrate-set-parameters', limits, signal);
      if (bandwidth !== undefined) await limitCopies(guest, disksBeingCopied(guest), bandwidth, signal);
    },
    postcopy: { start: startPostcopy, await: awaitRest(host), resume: resumeSending, end: resetMigration },
  };
}

/** The first reason, or all of them in one sentence. */
function refuse(reasons: readonly MigrationReason[]): void {
  const [first] = reasons;
  if (!first) return;
  const detail = reasons.map(({ message }) => message.replace(/^[^:]+: /, '')).join('; ');
  throw new VirtError(first.code === 'MIGRATE_UNSAFE' ? 'MIGRATE_UNSAFE' : 'OPERATION_INVALID', { detail });
}

type Begin = Parameters<MigrationFacet<QemuGuest>['begin']>[1];

async function withCapacity(guest: QemuGuest, { options, signal }: Begin) {
  const disks = copiedDisks(guest.live, options);
  if (disks.length === 0) return [];
  const nodeOf = await topNodes(guest, signal);
  const nodes = await guest.ask('query-named-block-nodes', { flat: true }, signal);
  const capacity = new Map(nodes.map((node) => [node['node-name'], node.image['virtual-size']]));
  return disks.map((disk) => ({ disk, capacity: capacity.get(nodeOf(disk)) ?? 0 }));
}

type OfDisks = Pick<MigrationAsk, 'options'>;

/** Files of disks that both hosts reach, as this host has lent them to the user that guests run as. */
function lentOf(guest: QemuGuest, ask: OfDisks, owners = guest.saved.owners): QemuGuest['saved']['owners'] {
  const copied = new Set(copiedDisks(guest.live, ask.options));
  const disks = guest.live.devices.disks.filter((disk) => !copied.has(disk));
  const paths = new Set(disks.flatMap(({ source }) => [source?.file, source?.dev]));
  return owners.filter(({ path }) => paths.has(path));
}

/**
 * The target is about to have them, and gives them back in its time: they stay with the user that guests run as, however the
 * process here ends. The caller keeps it on disk, with the word that the guest was handed over: it stands still meanwhile.
 */
function leaveFiles(guest: QemuGuest, ask: OfDisks): void {
  const left = lentOf(guest, ask);
  guest.saved.owners = guest.saved.owners.filter((owner) => !left.includes(owner));
  if (left.length > 0) guest.saved.migration!.owners = left;
}

/** It does not live there: they are given back here. */
function regainFiles(guest: QemuGuest): void {
  const { migration } = guest.saved;
  if (!migration?.owners) return;
  guest.saved.owners = [...guest.saved.owners, ...migration.owners];
  delete migration.owners;
  guest.tell({ kind: 'saved' });
}

/** From now on it is this host that gives back what the source was lent. */
function takeFiles(guest: QemuGuest, ask: OfDisks): void {
  const taken = lentOf(guest, ask, guest.saved.migration?.owners ?? []);
  const own = guest.saved.owners.filter(({ path }) => !taken.some((owner) => owner.path === path));
  guest.saved.owners = [...own, ...taken];
  guest.tell({ kind: 'saved' });
}

async function transferred(guest: QemuGuest, role: MigrationRole): Promise<Transferred> {
  const { status } = await guest.ask('query-migrate');
  if (status === 'postcopy-paused') return 'stranded';
  if (role === 'target') return status === 'completed' ? 'arrived' : 'sending';
  if (isPostcopy(status)) return 'post-copy';
  if (status === 'completed') return 'handed-over';
  return isUnderWay(status) ? 'sending' : 'not-begun';
}
