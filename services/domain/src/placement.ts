/**
 * Where a new domain goes: the host that was asked for, else the fitting one with the most free memory.
 *
 * A heartbeat tells free memory two seconds late; what this copy has placed since is taken off, so that a burst of
 * definitions spreads.
 */
import { VirtError, type HostStatus } from '@virtbus/shared';
import { hostKey, type At, type Listed } from './hosts';

export interface Wanted {
  /** Domain type: kvm, qemu, lxc, … */
  virtType: string;
  arch?: string | undefined;
  memoryKiB: number;
  host?: string | undefined;
  labels: Readonly<Record<string, string>>;
}

/** How long a placement counts against its host, milliseconds: until heartbeats include it. */
const reservedMs = 6_000;

export class Placement {
  private reserved: { key: string; kib: number; until: number }[] = [];

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Throws `HOST_NOT_FOUND`, `HOST_OFFLINE`, or `NO_SUITABLE_HOST` with the reason of each host. */
  choose(wanted: Wanted, hosts: readonly Listed[]): At {
    const asked = wanted.host === undefined ? hosts : hosts.filter(({ host }) => host === wanted.host);
    if (wanted.host !== undefined && asked.length === 0) throw new VirtError('HOST_NOT_FOUND', { host: wanted.host });
    if (wanted.host !== undefined && !asked.some(({ online }) => online)) {
      throw new VirtError('HOST_OFFLINE', { host: wanted.host, service: `driver-${asked[0]!.driver}` });
    }
    const judged = asked.map((host) => ({ host, free: this.freeKiB(host), against: this.objection(wanted, host) }));
    const fitting = judged.filter(({ against }) => against === undefined);
    if (fitting.length === 0) throw new VirtError('NO_SUITABLE_HOST', { detail: reasons(judged) });
    const { host: best } = fitting.reduce((a, b) => (b.free > a.free ? b : a));
    this.reserved.push({ key: hostKey(best), kib: wanted.memoryKiB, until: this.now() + reservedMs });
    return { host: best.host, driver: best.driver };
  }

  private objection(wanted: Wanted, host: Listed): string | undefined {
    if (!host.online) return 'is offline';
    if (host.cordoned) return `takes no new domains until it is undrained (virtbus host undrain ${host.host})`;
    if (!host.virtTypes.includes(wanted.virtType)) {
      return `cannot run domains of type '${wanted.virtType}' (it runs ${host.virtTypes.join(', ')})`;
    }
    if (wanted.arch !== undefined && !host.arches.includes(wanted.arch)) {
      return `cannot run guests of architecture '${wanted.arch}'`;
    }
    for (const [label, value] of Object.entries(wanted.labels)) {
      const has = host.labels[label];
      if (has !== value) return `has label ${label}=${has ?? '(none)'}, not ${label}=${value}`;
    }
    // Who names a host may overcommit it, as libvirt lets him; what was only defined takes no memory yet.
    const free = host.freeMemoryKiB;
    if (wanted.host === undefined && free < wanted.memoryKiB) {
      return `has ${mib(free)} MiB of memory free, ${mib(wanted.memoryKiB)} MiB are needed`;
    }
    return undefined;
  }

  private freeKiB(host: HostStatus): number {
    const now = this.now();
    this.reserved = this.reserved.filter(({ until }) => until > now);
    const key = hostKey(host);
    return this.reserved.reduce((free, one) => (one.key === key ? free - one.kib : free), host.freeMemoryKiB);
  }
}

const mib = (kib: number): number => Math.floor(kib / 1024);

function reasons(judged: { host: HostStatus; against: string | undefined }[]): string {
  if (judged.length === 0) return 'no host has joined yet; start a driver service';
  return judged.map(({ host, against }) => `${host.host} (${host.driver}) ${against}`).join('; ');
}
