/** Memory and virtual CPUs. */
import { affectOf, affectOptions } from '../affect';
import { parseKiB } from '../sizes';
import { argument, command, domain, example, flag, parseNumber, UsageError } from '../spec';
import { printCpuCounts, printCpus } from '../print/stats';
import { vcpuCounts } from '../device-xml';
import { fail } from '../failure';

/** `current` is decided by the service; nothing here needs to know whether the domain runs. */
const unknown = async (): Promise<boolean> => false;
const size = argument('KiB, or with a unit: 512MiB, 2GiB');

export const setmem = command({
  name: 'setmem',
  group: 'device',
  summary: 'Set the memory a guest has now (its balloon)',
  about: 'The guest gives memory back as it can; the balloon event tells.',
  args: { domain, size },
  options: affectOptions,
  gives: 'setMemory',
  queue: true,
  examples: [example('setmem web1 512MiB', 'shrink or grow it, up to its maximum')],
  async run({ args, options, session }) {
    const request = { kib: parseKiB(args.size, '<size>'), affect: await affectOf(options, unknown) };
    await session.give('setMemory', request, args.domain, () => '');
  },
});

export const setmaxmem = command({
  name: 'setmaxmem',
  group: 'device',
  summary: 'Set the most memory a guest can have, from its next start on',
  args: { domain, size },
  options: affectOptions,
  gives: 'setMemory',
  queue: true,
  examples: [example('setmaxmem web1 2GiB --config', 'for the next start')],
  async run({ args, options, session }) {
    const affect = await affectOf(options, unknown);
    const request = { kib: parseKiB(args.size, '<size>'), maximum: true, affect };
    await session.give('setMemory', request, args.domain, () => '');
  },
});

export const setvcpus = command({
  name: 'setvcpus',
  group: 'device',
  summary: 'Set the number of virtual CPUs',
  args: { domain, count: argument('how many') },
  options: { maximum: flag('the most it can have, from its next start on'), ...affectOptions },
  gives: 'setVcpus',
  queue: true,
  examples: [
    example('setvcpus web1 2', 'plug or unplug while it runs'),
    example('setvcpus web1 8 --maximum --config', 'room for the next start'),
  ],
  async run({ args, options, session }) {
    const count = parseNumber(args.count, '<count>', 1);
    const request = { count, maximum: options.maximum, affect: await affectOf(options, unknown) };
    await session.give('setVcpus', request, args.domain, () => '');
  },
});

export const vcpucount = command({
  name: 'vcpucount',
  group: 'monitor',
  summary: 'Print how many virtual CPUs a domain has and can have',
  args: { domain },
  options: { maximum: flag('the maximum only'), active: flag('the present number only'), ...affectOptions },
  examples: [
    example('vcpucount web1', 'of the running domain and of its definition'),
    example('vcpucount web1 --maximum --live', 'one number'),
  ],
  async run({ args, options, session, out }) {
    const { domain: found } = await session.call('getDomain', {}, args.domain);
    const { maximum, active, live, config, current } = options;
    if (maximum && active) throw new UsageError('--maximum does not go with --active');
    const running = found.id >= 0;
    if (live && !running) {
      throw fail('OPERATION_INVALID', { detail: `domain '${found.name}' is not running: --live has nothing to count` });
    }
    const wantLive = running && (live || current || !config);
    const wantConfig = found.persistent && (config || (current && !running) || (!live && !current));
    const [ofLive, ofConfig] = await Promise.all(
      [wantLive && { inactive: false }, wantConfig && { inactive: true }].map(async (request) => {
        if (!request) return undefined;
        return vcpuCounts((await session.call('getDomainXml', request, found.uuid)).xml ?? '');
      }),
    );
    const only = maximum ? 'maximum' : active ? 'current' : undefined;
    out.show({ live: ofLive ?? null, config: ofConfig ?? null }, () => printCpuCounts(ofLive, ofConfig, only));
  },
});

export const vcpuinfo = command({
  name: 'vcpuinfo',
  group: 'monitor',
  summary: 'Show what each virtual CPU does',
  args: { domain },
  options: {},
  examples: [example('vcpuinfo web1', 'state and time of each')],
  async run({ args, session, out }) {
    const { stats } = await session.call('statsOfDomain', { groups: ['vcpu'] }, args.domain);
    out.show(stats.vcpu?.vcpus ?? [], () => printCpus(stats.vcpu?.vcpus ?? []));
  },
});
