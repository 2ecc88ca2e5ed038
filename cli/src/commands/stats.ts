/** Measurements: domstats and its narrower kin. */
import type { StatsGroup } from '@virtbus/shared';
import { printDisk, printInterface, printMemory, printStats } from '../print/stats';
import { argument, command, domain, example, flag, many, optional, value } from '../spec';
import { fail } from '../failure';

const groupFlags = {
  state: ['state', 'state and reason'],
  cpuTotal: ['cpu', 'CPU time'],
  balloon: ['balloon', 'memory'],
  vcpu: ['vcpu', 'virtual CPUs'],
  interface: ['net', 'network interfaces'],
  block: ['block', 'disks'],
} as const satisfies Record<string, readonly [StatsGroup, string]>;

export const domstats = command({
  name: 'domstats',
  group: 'monitor',
  summary: 'Print statistics of many domains at once: those named, or all that run',
  args: { domain: many('names or uuids', 'domain') },
  options: {
    state: flag(groupFlags.state[1]),
    cpuTotal: flag(groupFlags.cpuTotal[1]),
    balloon: flag(groupFlags.balloon[1]),
    vcpu: flag(groupFlags.vcpu[1]),
    interface: flag(groupFlags.interface[1]),
    block: flag(groupFlags.block[1]),
    host: value('HOST', 'of those that live there', 'host'),
  },
  examples: [
    example('domstats', 'all there is of all that run'),
    example('domstats web1 web2 --cpu-total --balloon', 'CPU and memory of two'),
  ],
  async run({ args, options, session, out }) {
    const groups = Object.entries(groupFlags).flatMap(([key, [group]]) =>
      options[key as keyof typeof groupFlags] ? [group] : [],
    );
    const answer = await session.call('statsOfDomains', {
      ...(groups.length > 0 ? { groups } : {}),
      ...(args.domain.length > 0 ? { domains: args.domain } : {}),
      ...(options.host ? { host: options.host } : {}),
    });
    out.show(answer, () => answer.stats.map((each) => `${printStats(each)}\n`).join(''));
    if (out.json) return;
    for (const { host, reason } of answer.missing) out.note(`note: host ${host} is missing: ${reason}`);
  },
});

const missing = (detail: string): Error => fail('DEVICE_MISSING', { detail });

export const dommemstat = command({
  name: 'dommemstat',
  group: 'monitor',
  summary: 'Print memory statistics of a running domain, KiB',
  args: { domain },
  options: {},
  examples: [example('dommemstat web1', 'balloon, resident memory, what the guest says')],
  async run({ args, session, out }) {
    const { stats } = await session.call('statsOfDomain', { groups: ['balloon'] }, args.domain);
    const { balloon } = stats;
    out.show(balloon ?? {}, () => (balloon ? printMemory(balloon) : ''));
  },
});

export const domblkstat = command({
  name: 'domblkstat',
  group: 'monitor',
  summary: "Print statistics of a running domain's disks",
  args: { domain, device: optional('target of one disk: vda') },
  options: {},
  examples: [example('domblkstat web1 vda', 'one disk')],
  async run({ args, session, out }) {
    const { stats } = await session.call('statsOfDomain', { groups: ['block'] }, args.domain);
    const found = (stats.block ?? []).filter(
      (disk) => !args.device || disk.name === args.device || disk.path === args.device,
    );
    if (args.device && found.length === 0) throw missing(`domain '${stats.name}' has no running disk '${args.device}'`);
    out.show(found, () => found.map(printDisk).join(''));
  },
});

export const domifstat = command({
  name: 'domifstat',
  group: 'monitor',
  summary: 'Print statistics of a network interface of a running domain',
  args: { domain, interface: argument("its name on the host (vnet0), alias (net0), as 'domiflist' tells") },
  options: {},
  examples: [example('domifstat web1 net0', 'bytes, packets, errors, drops')],
  async run({ args, session, out }) {
    const { stats } = await session.call('statsOfDomain', { groups: ['net'] }, args.domain);
    const found = stats.net?.find((each) => each.name === args.interface || each.alias === args.interface);
    if (!found) throw missing(`domain '${stats.name}' has no running interface '${args.interface}'`);
    out.show(found, () => printInterface(found));
  },
});
