/** What this driver writes into cookies, and what it reads out of them. */
import { hostname } from 'node:os';
import { readCookie, writeCookie, type CookieReader, type Disk, type MigrationCookie } from '@virtbus/domain-xml';
import type { MigrationAsk } from '@virtbus/driver-runtime';
import { VirtError, type MigrationProgress } from '@virtbus/shared';
import { z } from 'zod';
import type { QemuGuest } from '../guest';
import type { MigrationInfo } from '../qmp';

/** Our leases stand where libvirt names a plugin of its lock manager. */
const lockDriver = 'virtbus';

const id = z.number().int().nonnegative();
const lockState = z.object({ owners: z.array(z.object({ path: z.string(), uid: id, gid: id })) });
type Owned = QemuGuest['saved']['owners'][number];

/** Whom a cookie is about: the domain under the name that it has on the source. */
export interface About {
  name: string;
  uuid: string;
}

function base({ name, uuid }: About, { own }: Pick<MigrationAsk, 'own'>): MigrationCookie {
  return { name, uuid, hostname: hostname(), hostuuid: own.uuid, features: [] };
}

/** A: what the target must know before it launches anything. */
export function cookieA(
  about: About,
  ask: Pick<MigrationAsk, 'own'>,
  more: {
    leases: string;
    owners: readonly Owned[];
    disks: readonly { disk: Disk; capacity: number }[];
    capabilities: readonly string[];
  },
): Uint8Array {
  return writeCookie({
    ...base(about, ask),
    features: [{ name: 'lockstate' }],
    lockstate: { driver: lockDriver, leases: JSON.stringify({ held: more.leases, owners: more.owners }) },
    ...(more.disks.length > 0 && { nbd: { disks: more.disks.map(described) } }),
    capabilities: { capabilities: more.capabilities.map((name) => ({ name, auto: false })) },
  });
}

const described = ({ disk, capacity }: { disk: Disk; capacity: number }) => ({
  target: disk.target.dev ?? '',
  capacity,
});

/** To whom files return that the guest goes on using on the target; what is no such text names nobody. */
export function ownersIn({ lockstate }: MigrationCookie): Owned[] {
  try {
    return lockState.parse(JSON.parse(lockstate?.leases ?? '')).owners;
  } catch {
    return [];
  }
}

/** B: where the target takes copied disks, and where clients of the screen find it. */
export function cookieB(
  about: About,
  ask: Pick<MigrationAsk, 'own'>,
  { nbdPort, graphics }: { nbdPort: number | undefined; graphics: MigrationCookie['graphics'] },
): Uint8Array {
  return writeCookie({
    ...base(about, ask),
    ...(graphics && { graphics }),
    ...(nbdPort === undefined ? {} : { nbd: { port: nbdPort, disks: [] } }),
  });
}

const nothingCounted = {
  ...{ memory_total: 0, memory_processed: 0, memory_remaining: 0, memory_bps: 0, memory_dirty_rate: 0 },
  ...{ memory_iteration: 0, memory_postcopy_requests: 0, memory_page_size: 0 },
  ...{ disk_total: 0, disk_processed: 0, disk_remaining: 0, disk_bps: 0, auto_converge_throttle: 0 },
};

/** C: how long it took so far. */
export function cookieC(about: About, ask: Pick<MigrationAsk, 'own'>, info: MigrationInfo, began: number): Uint8Array {
  const { ram } = info;
  const now = Date.now();
  return writeCookie({
    ...base(about, ask),
    statistics: {
      ...nothingCounted,
      started: began,
      stopped: now,
      sent: now,
      time_elapsed: info['total-time'] ?? now - began,
      ...(info.downtime === undefined ? {} : { downtime: info.downtime }),
      ...(info['setup-time'] === undefined ? {} : { setup_time: info['setup-time'] }),
      ...(ram && {
        memory_total: ram.total,
        memory_processed: ram.transferred,
        memory_remaining: ram.remaining,
        memory_constant: ram.duplicate,
        memory_normal: ram.normal,
        memory_normal_bytes: ram['normal-bytes'],
        memory_iteration: ram['dirty-sync-count'],
        memory_page_size: ram['page-size'],
      }),
    },
  });
}

/**
 * What C tells, now that the guest runs here. Since the source wrote it the clock of this host has gone on; the two are taken
 * to agree, as libvirt's are once their difference is known.
 */
export function sumOf(of: NonNullable<MigrationCookie['statistics']>, now = Date.now()): MigrationProgress {
  const since = (moment: number): number => Math.max(0, now - moment);
  const { memory_total: total, memory_processed: processed, memory_bps: rate } = of;
  return {
    elapsedMs: of.time_elapsed + since(of.sent),
    downtimeMs: since(of.stopped),
    ...(of.setup_time === undefined ? {} : { setupMs: of.setup_time }),
    memory: { total, processed, remaining: 0, ...(rate > 0 && { rate }) },
    pass: of.memory_iteration,
    pageSize: of.memory_page_size,
    pages: {
      constant: of.memory_constant ?? 0,
      normal: of.memory_normal ?? 0,
      normalBytes: of.memory_normal_bytes ?? 0,
      postcopyRequests: of.memory_postcopy_requests,
    },
  };
}

/** D: nothing but who says it. */
export const cookieD = (about: About, ask: Pick<MigrationAsk, 'own'>): Uint8Array => writeCookie(base(about, ask));

/**
 * Read the cookie of the other side. Throws COOKIE_INVALID for one that is not about this domain, comes from this very
 * host, lacks the state of the locks, or asks for what we do not know.
 */
export function read(
  bytes: Uint8Array,
  reader: CookieReader,
  about: About,
  { own }: Pick<MigrationAsk, 'own'>,
): MigrationCookie {
  const locks = { driver: lockDriver, usesState: true };
  const cookie = readCookie(bytes, reader, { ...about, hostUuid: own.uuid, locks });
  if (cookie) return cookie;
  throw new VirtError('COOKIE_INVALID', { detail: `the other side has sent no cookie for ${reader}` });
}

/** The domain of a guest as cookies name it. */
export const aboutGuest = ({ live }: QemuGuest): About => ({ name: live.name, uuid: live.uuid ?? '' });
