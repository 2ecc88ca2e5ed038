/** Statistics of a guest: of its process from /proc, of its devices from three QMP queries at most. */
import type { Facets } from '@virtbus/driver-runtime';
import type { DomainStats } from '@virtbus/shared';
import { readFile } from 'node:fs/promises';
import type { QemuGuest } from '../guest';
import { readThreadCpuTimeNs, readUsage } from '../process';

type Stats = NonNullable<Facets<QemuGuest>['stats']>;

export const stats: Stats = {
  collect: async (guest, groups, signal) => {
    const [block, balloon, vcpu, net] = await Promise.all([
      groups.has('block') ? blockStats(guest, signal) : undefined,
      groups.has('balloon') ? balloonStats(guest, signal) : undefined,
      groups.has('vcpu') ? vcpuStats(guest, signal) : undefined,
      groups.has('net') ? netStats(guest) : undefined,
    ]);
    return {
      ...(groups.has('cpu') ? cpuStats(guest) : {}),
      ...(block ? { block } : {}),
      ...(balloon ? { balloon } : {}),
      ...(vcpu ? { vcpu } : {}),
      ...(net ? { net } : {}),
    };
  },
};

function cpuStats(guest: QemuGuest): Pick<DomainStats, 'cpu'> {
  const usage = readUsage(guest.pid);
  if (!usage) return {};
  const { cpuTimeNs, userTimeNs, systemTimeNs } = usage;
  return { cpu: { timeNs: cpuTimeNs, userNs: userTimeNs, systemNs: systemTimeNs } };
}

async function balloonStats(guest: QemuGuest, signal: AbortSignal): Promise<DomainStats['balloon']> {
  const rssKiB = Math.round((readUsage(guest.pid)?.rssBytes ?? 0) / 1024);
  const maximumKiB = guest.live.memory.kib;
  if ((guest.live.devices.memballoon?.model ?? 'none') === 'none')
    return { currentKiB: maximumKiB, maximumKiB, rssKiB };
  const { actual } = await guest.ask('query-balloon', undefined, signal);
  return { currentKiB: Math.floor(actual / 1024), maximumKiB, rssKiB };
}

async function vcpuStats(guest: QemuGuest, signal: AbortSignal): Promise<DomainStats['vcpu']> {
  const cpus = await guest.ask('query-cpus-fast', undefined, signal);
  return {
    current: cpus.length,
    maximum: guest.live.vcpu.count,
    vcpus: cpus.map((cpu) => ({
      vcpu: cpu['cpu-index'],
      timeNs: readThreadCpuTimeNs(guest.pid, cpu['thread-id']) ?? 0,
      state: 'running',
    })),
  };
}

async function blockStats(guest: QemuGuest, signal: AbortSignal): Promise<DomainStats['block']> {
  const answer = await guest.ask('query-blockstats', undefined, signal);
  const byDevice = new Map(answer.flatMap((entry) => (entry.qdev ? [[deviceOf(entry.qdev), entry] as const] : [])));
  return guest.live.devices.disks.flatMap((disk) => {
    const entry = byDevice.get(disk.alias?.name ?? '');
    if (!entry) return [];
    const { stats: s } = entry;
    const path = disk.source?.file ?? disk.source?.dev;
    return [
      {
        name: disk.target.dev ?? '',
        ...(path ? { path } : {}),
        read: { requests: s.rd_operations, bytes: s.rd_bytes, timeNs: s.rd_total_time_ns },
        write: { requests: s.wr_operations, bytes: s.wr_bytes, timeNs: s.wr_total_time_ns },
        flush: { requests: s.flush_operations, timeNs: s.flush_total_time_ns },
        allocation: s.wr_highest_offset,
      },
    ];
  });
}

/** `/machine/peripheral/virtio-disk0/virtio-backend` is the device `virtio-disk0`. */
function deviceOf(qdev: string): string {
  return /^\/machine\/peripheral\/([^/]+)/.exec(qdev)?.[1] ?? qdev;
}

/** Interfaces with a device of their own on the host; QEMU's user networking counts nothing. */
async function netStats(guest: QemuGuest): Promise<DomainStats['net']> {
  const all: NonNullable<DomainStats['net']> = [];
  for (const { alias, target } of guest.live.devices.interfaces) {
    if (!target?.dev) continue;
    const read = async (name: string): Promise<number> =>
      Number(await readFile(`/sys/class/net/${target.dev}/statistics/${name}`, 'utf8').catch(() => 0));
    const [rxBytes, rxPackets, rxErrors, rxDrops, txBytes, txPackets, txErrors, txDrops] = await Promise.all(
      ['rx_bytes', 'rx_packets', 'rx_errors', 'rx_dropped', 'tx_bytes', 'tx_packets', 'tx_errors', 'tx_dropped'].map(
        read,
      ),
    );
    // What the host receives on the tap is what the guest has sent.
    all.push({
      name: target.dev,
      alias: alias?.name ?? '',
      rx: { bytes: txBytes!, packets: txPackets!, errors: txErrors!, drops: txDrops! },
      tx: { bytes: rxBytes!, packets: rxPackets!, errors: rxErrors!, drops: rxDrops! },
    });
  }
  return all;
}
