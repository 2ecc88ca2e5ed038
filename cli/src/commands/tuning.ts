/** How much of its host a domain may take: shown, and changed when a value is given. */
import type { BlockIoTuning, MemoryTuning, SchedulerTuning } from '@virtbus/shared';
import { affectOf, affectOptions } from '../affect';
import { parseKiB } from '../sizes';
import { command, domain, example, many, number, UsageError, value } from '../spec';

/** `current` is decided by the service; nothing here needs to know whether the domain runs. */
const unknown = async (): Promise<boolean> => false;

/** virsh's names of what a scheduler has. */
const schedulerNames = { cpu_shares: 'shares', vcpu_period: 'periodUs', vcpu_quota: 'quotaUs' } as const;

export const schedinfo = command({
  name: 'schedinfo',
  group: 'device',
  summary: "Show or change a domain's share and quota of processor time",
  about: 'Parameters: cpu_shares, vcpu_period and vcpu_quota (µs; a quota of -1 is none).',
  args: { domain, set: many('PARAMETER=VALUE') },
  options: affectOptions,
  gives: 'setScheduler',
  queue: true,
  examples: [
    example('schedinfo c1', 'what it has'),
    example('schedinfo c1 --set cpu_shares=512 vcpu_quota=50000 --live', 'half of a processor, while it runs'),
  ],
  async run({ args, options, session, out }) {
    const affect = await affectOf(options, unknown);
    if (args.set.length > 0) {
      const wish = Object.fromEntries(args.set.map(parameter)) as SchedulerTuning;
      return session.give('setScheduler', { ...wish, affect }, args.domain, () => '');
    }
    const told = await session.call('getScheduler', { affect: onlyOne(affect) }, args.domain);
    out.show(told, () =>
      table([
        ['Scheduler', 'posix'],
        ...Object.entries(schedulerNames).map(([name, key]) => [name, told[key]] as const),
      ]),
    );
  },
});

function parameter(text: string): [string, number] {
  const [, name, digits] = /^(\w+)=(-?\d+)$/.exec(text) ?? [];
  const known = name !== undefined && Object.hasOwn(schedulerNames, name);
  if (known) return [schedulerNames[name as keyof typeof schedulerNames], Number(digits)];
  throw new UsageError(`--set: '${text}' is none of ${Object.keys(schedulerNames).join(', ')} with '=' and a number`);
}

export const memtune = command({
  name: 'memtune',
  group: 'device',
  summary: "Show or change a domain's limits of memory and swap",
  about: 'Sizes are KiB or have a unit; -1 is no limit.',
  args: { domain },
  options: {
    hardLimit: value('SIZE', 'the most memory it gets'),
    softLimit: value('SIZE', 'what it is held to when its host is short of memory'),
    swapHardLimit: value('SIZE', 'the most memory and swap together'),
    ...affectOptions,
  },
  gives: 'setMemoryLimits',
  queue: true,
  examples: [
    example('memtune c1', 'what it has'),
    example('memtune c1 --hard-limit 256MiB --swap-hard-limit 512MiB', 'no more than this'),
  ],
  async run({ args, options, session, out }) {
    const affect = await affectOf(options, unknown);
    const wish: MemoryTuning = {
      ...given('hardKiB', limit(options.hardLimit, '--hard-limit')),
      ...given('softKiB', limit(options.softLimit, '--soft-limit')),
      ...given('swapHardKiB', limit(options.swapHardLimit, '--swap-hard-limit')),
    };
    if (Object.keys(wish).length > 0) {
      return session.give('setMemoryLimits', { ...wish, affect }, args.domain, () => '');
    }
    const told = await session.call('getMemoryLimits', { affect: onlyOne(affect) }, args.domain);
    const shown = (kib: number | null | undefined): number | string => kib ?? 'unlimited';
    out.show(told, () =>
      table([
        ['hard_limit', shown(told.hardKiB)],
        ['soft_limit', shown(told.softKiB)],
        ['swap_hard_limit', shown(told.swapHardKiB)],
      ]),
    );
  },
});

/** Null for none, undefined when it was not asked for. */
const limit = (text: string | undefined, name: string): number | null | undefined =>
  text === undefined ? undefined : text === '-1' ? null : parseKiB(text, name);

/** virsh's options for block devices, what the same is called on the bus, and what virsh shows it as. */
const deviceOptions = [
  ['deviceWeights', 'weight', 'device_weight'],
  ['deviceReadIopsSec', 'readIops', 'device_read_iops_sec'],
  ['deviceWriteIopsSec', 'writeIops', 'device_write_iops_sec'],
  ['deviceReadBytesSec', 'readBytes', 'device_read_bytes_sec'],
  ['deviceWriteBytesSec', 'writeBytes', 'device_write_bytes_sec'],
] as const;
const pairs = 'PATH,N[,PATH,N…]';

export const blkiotune = command({
  name: 'blkiotune',
  group: 'device',
  summary: "Show or change a domain's weight in block I/O, and its limits on block devices of the host",
  args: { domain },
  options: {
    weight: number('N', 'beside other guests, 10 to 1000', 10),
    deviceWeights: value(pairs, 'weight on a device'),
    deviceReadIopsSec: value(pairs, 'reads a second; 0: no limit'),
    deviceWriteIopsSec: value(pairs, 'writes a second'),
    deviceReadBytesSec: value(pairs, 'bytes read a second'),
    deviceWriteBytesSec: value(pairs, 'bytes written a second'),
    ...affectOptions,
  },
  gives: 'setBlockIo',
  queue: true,
  examples: [
    example('blkiotune c1 --weight 500', 'half of the usual'),
    example('blkiotune c1 --device-read-bytes-sec /dev/vda,10485760', 'ten MiB a second'),
  ],
  async run({ args, options, session, out }) {
    const affect = await affectOf(options, unknown);
    const devices = devicesOf(options);
    if (options.weight !== undefined || devices.length > 0) {
      const wish = { ...given('weight', options.weight), devices, affect };
      return session.give('setBlockIo', wish, args.domain, () => '');
    }
    const told = await session.call('getBlockIo', { affect: onlyOne(affect) }, args.domain);
    out.show(told, () =>
      table([['weight', told.weight], ...deviceOptions.map(([, key, name]) => [name, listed(told, key)] as const)]),
    );
  },
});

type DeviceOption = (typeof deviceOptions)[number];

function devicesOf(options: { [K in DeviceOption[0]]?: string | undefined }): BlockIoTuning['devices'] {
  const found = new Map<string, BlockIoTuning['devices'][number]>();
  for (const [option, key] of deviceOptions) {
    const words = options[option]?.split(',') ?? [];
    for (let at = 0; at < words.length; at += 2) {
      const [path = '', most = ''] = words.slice(at);
      if (!path.startsWith('/') || !/^\d+$/.test(most)) {
        throw new UsageError(`a device is limited by ${pairs}, not by '${options[option]}'`);
      }
      found.set(path, { ...(found.get(path) ?? { path }), [key]: Number(most) });
    }
  }
  return [...found.values()];
}

const listed = ({ devices }: BlockIoTuning, key: DeviceOption[1]): string =>
  devices.flatMap((device) => (device[key] === undefined ? [] : [`${device.path},${device[key]}`])).join(',');

const table = (rows: readonly (readonly [string, string | number | undefined])[]): string =>
  `${rows.map(([name, shown]) => `${name.padEnd(15)}: ${shown ?? ''}`.trimEnd()).join('\n')}\n`;

/** A query is about one of the two. */
function onlyOne<A extends string>(affect: A): Exclude<A, 'both'> {
  if (affect === 'both') throw new UsageError('--live and --config are two answers: ask for one of them');
  return affect as Exclude<A, 'both'>;
}

const given = <K extends string, T>(name: K, wish: T | undefined): { [N in K]?: T } =>
  (wish === undefined ? {} : { [name]: wish }) as { [N in K]?: T };
