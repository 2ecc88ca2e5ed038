/** Statistics under the names virsh prints them with. */
import type { DomainStats } from '@virtbus/shared';
import { shared } from '../lazy';
import { safe } from './table';

type Pairs = (readonly [string, string | number | undefined])[];
type Numbers = { current: number; maximum: number };

/** domstats: one block a domain, keys as in virConnectGetAllDomainStats. */
export function printStats(stats: DomainStats): string {
  const lines = keysOf(stats)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `  ${key}=${typeof value === 'string' ? safe(value) : value}\n`);
  return `Domain: '${safe(stats.name)}'\n${lines.join('')}`;
}

export function keysOf({ state, cpu, balloon, vcpu, net, block }: DomainStats): Pairs {
  const { number, reasons } = shared().domainStates[state.state];
  const pairs: Pairs = [
    ['state.state', number],
    ['state.reason', (reasons as Record<string, number>)[state.reason] ?? 0],
  ];
  if (cpu) pairs.push(['cpu.time', cpu.timeNs], ['cpu.user', cpu.userNs], ['cpu.system', cpu.systemNs]);
  if (balloon) {
    pairs.push(
      ['balloon.current', balloon.currentKiB],
      ['balloon.maximum', balloon.maximumKiB],
      ['balloon.swap_in', balloon.swapInKiB],
      ['balloon.swap_out', balloon.swapOutKiB],
      ['balloon.major_fault', balloon.majorFaults],
      ['balloon.minor_fault', balloon.minorFaults],
      ['balloon.unused', balloon.unusedKiB],
      ['balloon.available', balloon.availableKiB],
      ['balloon.usable', balloon.usableKiB],
      ['balloon.last-update', balloon.lastUpdate],
      ['balloon.rss', balloon.rssKiB],
    );
  }
  if (vcpu) {
    pairs.push(['vcpu.current', vcpu.current], ['vcpu.maximum', vcpu.maximum]);
    for (const { vcpu: n, timeNs, state: does } of vcpu.vcpus) {
      pairs.push([`vcpu.${n}.state`, vcpuStates[does] ?? does], [`vcpu.${n}.time`, timeNs]);
    }
  }
  if (net) pairs.push(...netKeys(net));
  if (block) pairs.push(...blockKeys(block));
  return pairs;
}

/** virVcpuState. */
const vcpuStates: Record<string, number> = { offline: 0, running: 1, blocked: 2 };

function netKeys(net: NonNullable<DomainStats['net']>): Pairs {
  const each = net.flatMap(({ name, rx, tx }, i): Pairs => {
    const way = (of: 'rx' | 'tx', { bytes, packets, errors, drops }: typeof rx): Pairs => [
      [`net.${i}.${of}.bytes`, bytes],
      [`net.${i}.${of}.pkts`, packets],
      [`net.${i}.${of}.errs`, errors],
      [`net.${i}.${of}.drop`, drops],
    ];
    return [[`net.${i}.name`, name], ...way('rx', rx), ...way('tx', tx)];
  });
  return [['net.count', net.length], ...each];
}

function blockKeys(block: NonNullable<DomainStats['block']>): Pairs {
  const each = block.flatMap((disk, i): Pairs =>
    (
      [
        ['name', disk.name],
        ['backingIndex', disk.backingIndex],
        ['path', disk.path],
        ['rd.reqs', disk.read.requests],
        ['rd.bytes', disk.read.bytes],
        ['rd.times', disk.read.timeNs],
        ['wr.reqs', disk.write.requests],
        ['wr.bytes', disk.write.bytes],
        ['wr.times', disk.write.timeNs],
        ['fl.reqs', disk.flush.requests],
        ['fl.times', disk.flush.timeNs],
        ['allocation', disk.allocation],
        ['capacity', disk.capacity],
        ['physical', disk.physical],
      ] as const
    ).map(([key, value]) => [`block.${i}.${key}`, value] as const),
  );
  return [['block.count', block.length], ...each];
}

const lines = (pairs: Pairs, before = ''): string =>
  pairs
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${before}${key} ${value}\n`)
    .join('');

/** dommemstat. */
export function printMemory(balloon: NonNullable<DomainStats['balloon']>): string {
  return lines([
    ['actual', balloon.currentKiB],
    ['swap_in', balloon.swapInKiB],
    ['swap_out', balloon.swapOutKiB],
    ['major_fault', balloon.majorFaults],
    ['minor_fault', balloon.minorFaults],
    ['unused', balloon.unusedKiB],
    ['available', balloon.availableKiB],
    ['usable', balloon.usableKiB],
    ['last_update', balloon.lastUpdate],
    ['rss', balloon.rssKiB],
  ]);
}

/** domblkstat. */
export function printDisk(disk: NonNullable<DomainStats['block']>[number]): string {
  return lines(
    [
      ['rd_req', disk.read.requests],
      ['rd_bytes', disk.read.bytes],
      ['wr_req', disk.write.requests],
      ['wr_bytes', disk.write.bytes],
      ['flush_operations', disk.flush.requests],
      ['rd_total_times', disk.read.timeNs],
      ['wr_total_times', disk.write.timeNs],
      ['flush_total_times', disk.flush.timeNs],
    ],
    `${disk.name} `,
  );
}

/** domifstat. */
export function printInterface({ name, rx, tx }: NonNullable<DomainStats['net']>[number]): string {
  const way = (of: 'rx' | 'tx', { bytes, packets, errors, drops }: typeof rx): Pairs => [
    [`${of}_bytes`, bytes],
    [`${of}_packets`, packets],
    [`${of}_errs`, errors],
    [`${of}_drop`, drops],
  ];
  return lines([...way('rx', rx), ...way('tx', tx)], `${name} `);
}

/** vcpuinfo. */
export function printCpus(vcpus: NonNullable<DomainStats['vcpu']>['vcpus']): string {
  return vcpus
    .map(({ vcpu, state, timeNs }) =>
      [
        ['VCPU', vcpu],
        ['State', state],
        ['CPU time', `${(timeNs / 1e9).toFixed(1)}s`],
      ]
        .map(([name, value]) => `${`${name}:`.padEnd(15)} ${value}\n`)
        .join(''),
    )
    .join('\n');
}

/** vcpucount: virsh's four lines, or one number when a single one was asked for. */
export function printCpuCounts(
  live: Numbers | undefined,
  config: Numbers | undefined,
  only: keyof Numbers | undefined,
): string {
  const kinds = only ? [only] : (['maximum', 'current'] as const);
  const rows = kinds.flatMap((kind) =>
    [['config', config] as const, ['live', live] as const].flatMap(([of, counts]) =>
      counts ? [[kind, of, counts[kind]] as const] : [],
    ),
  );
  if (rows.length === 1) return String(rows[0]![2]);
  return rows.map(([kind, of, n]) => `${kind.padEnd(12)} ${of.padEnd(12)} ${String(n).padStart(3)}\n`).join('');
}
