/** Statistics of a container: read from its cgroup and the host's ends of its network cards. No program is asked. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Facets } from '@virtbus/driver-runtime';
import type { DomainStats } from '@virtbus/shared';
import type { ContainerCgroup } from '../cgroups';
import type { LxcGuest } from '../guest';

/** The kernel tells user and system time in hundredths of a second (USER_HZ). */
const nsPerTick = 10_000_000;

export const stats: NonNullable<Facets<LxcGuest>['stats']> = {
  collect: async (guest, groups) => {
    const { cgroup } = guest;
    return {
      ...(groups.has('cpu') ? { cpu: cpuOf(cgroup) } : {}),
      ...(groups.has('balloon') ? { balloon: memoryOf(guest) } : {}),
      ...(groups.has('block') ? { block: blockOf(cgroup) } : {}),
      ...(groups.has('net') ? { net: netOf(guest) } : {}),
    };
  },
};

/** `name value` lines. */
function table(text: string | undefined): (name: string) => number {
  const values = new Map((text ?? '').split('\n').map((line) => line.split(' ') as [string, string]));
  return (name) => Number(values.get(name) ?? 0);
}

function cpuOf(cgroup: ContainerCgroup): DomainStats['cpu'] {
  if (cgroup.version('cpuacct') === 1) {
    const value = table(cgroup.read('cpuacct', 'cpuacct.stat', ''));
    const timeNs = Number(cgroup.read('cpuacct', 'cpuacct.usage', '') ?? 0);
    return { timeNs, userNs: value('user') * nsPerTick, systemNs: value('system') * nsPerTick };
  }
  const value = table(cgroup.read('cpuacct', '', 'cpu.stat'));
  const ns = (name: string): number => value(name) * 1_000;
  return { timeNs: ns('usage_usec'), userNs: ns('user_usec'), systemNs: ns('system_usec') };
}

function memoryOf({ cgroup, live }: LxcGuest): DomainStats['balloon'] {
  const value = table(cgroup.read('memory', 'memory.stat', 'memory.stat'));
  const old = cgroup.version('memory') === 1;
  const used = Number(cgroup.read('memory', 'memory.usage_in_bytes', 'memory.current') ?? 0);
  const currentKiB = live.currentMemory ?? live.memory.kib;
  const kib = (bytes: number): number => Math.floor(bytes / 1024);
  return {
    currentKiB,
    maximumKiB: live.memory.kib,
    rssKiB: kib(old ? value('total_rss') : value('anon')),
    majorFaults: value(old ? 'total_pgmajfault' : 'pgmajfault'),
    minorFaults: value(old ? 'total_pgfault' : 'pgfault'),
    unusedKiB: Math.max(0, currentKiB - kib(used)),
  };
}

interface Io {
  read: { requests: number; bytes: number };
  write: { requests: number; bytes: number };
}

/** By device of the host: a container has no disks of its own to count for. */
function blockOf(cgroup: ContainerCgroup): DomainStats['block'] {
  const devices = new Map<string, Io>();
  const of = (number: string): Io => {
    const known = devices.get(number) ?? { read: { requests: 0, bytes: 0 }, write: { requests: 0, bytes: 0 } };
    devices.set(number, known);
    return known;
  };
  if (cgroup.version('blkio') === 1) {
    for (const [file, what] of [
      ['blkio.throttle.io_service_bytes_recursive', 'bytes'],
      ['blkio.throttle.io_serviced_recursive', 'requests'],
    ] as const) {
      for (const line of (cgroup.read('blkio', file, '') ?? '').split('\n')) {
        const [number, way, value] = line.split(' ');
        if (way === 'Read') of(number!).read[what] = Number(value);
        if (way === 'Write') of(number!).write[what] = Number(value);
      }
    }
  } else {
    for (const line of (cgroup.read('blkio', '', 'io.stat') ?? '').split('\n').filter(Boolean)) {
      const [number, ...pairs] = line.split(' ');
      const value = table(pairs.map((pair) => pair.replace('=', ' ')).join('\n'));
      const io = of(number!);
      io.read = { requests: value('rios'), bytes: value('rbytes') };
      io.write = { requests: value('wios'), bytes: value('wbytes') };
    }
  }
  return [...devices].map(([number, { read, write }]) => ({
    name: nameOf(number),
    read: { ...read, timeNs: 0 },
    write: { ...write, timeNs: 0 },
    flush: { requests: 0, timeNs: 0 },
  }));
}

const names = new Map<string, string>();

/** `254:0` is `vda`. */
function nameOf(number: string): string {
  const known = names.get(number);
  if (known !== undefined) return known;
  const text = textOf(`/sys/dev/block/${number}/uevent`);
  const name = /^DEVNAME=(.+)$/m.exec(text)?.[1] ?? number;
  names.set(number, name);
  return name;
}

function netOf({ live }: LxcGuest): DomainStats['net'] {
  return live.devices.interfaces.flatMap(({ alias, target }) => {
    if (target?.dev === undefined) return [];
    const folder = `/sys/class/net/${target.dev}/statistics`;
    if (!exists(folder)) return [];
    const value = (name: string): number => Number(textOf(`${folder}/${name}`).trim() || 0);
    const way = (prefix: 'rx' | 'tx') => ({
      bytes: value(`${prefix}_bytes`),
      packets: value(`${prefix}_packets`),
      errors: value(`${prefix}_errors`),
      drops: value(`${prefix}_dropped`),
    });
    // What the host receives on its end is what the container has sent.
    return [{ name: target.dev, alias: alias?.name ?? '', rx: way('tx'), tx: way('rx') }];
  });
}

function exists(folder: string): boolean {
  try {
    return readdirSync(folder).length > 0;
  } catch {
    return false;
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
