/** Limits, from the keys of either cgroup version. */
import type { Domain } from '../../elements/domain';
import { cpuset } from '../../schema';
import { at, type Reading } from './reading';
import type { Setting } from './settings';

/** KiB that a container is said to have when nothing limits it. */
const defaultMemory = 64 * 1024;

export function readLimits(reading: Reading, domain: Domain): void {
  readMemory(reading, domain);
  readCpu(reading, domain);
  readCpuset(reading, domain);
  readBlockIo(reading, domain);
}

function readMemory(reading: Reading, domain: Domain): void {
  const kib = (...keys: string[]): number | undefined => {
    const setting = keys.map((key) => reading.last(key)).find((one) => one !== undefined);
    if (!setting || setting.value === 'max' || setting.value === '-1') return undefined;
    const bytes = reading.size(setting);
    return bytes === undefined ? undefined : Math.ceil(bytes / 1024);
  };
  const hard = kib('lxc.cgroup.memory.limit_in_bytes', 'lxc.cgroup2.memory.max');
  const soft = kib('lxc.cgroup.memory.soft_limit_in_bytes', 'lxc.cgroup2.memory.high');
  const swap = kib('lxc.cgroup2.memory.swap.max');
  const both = kib('lxc.cgroup.memory.memsw.limit_in_bytes') ?? (swap === undefined ? undefined : swap + (hard ?? 0));
  domain.memory.kib = hard ?? defaultMemory;
  if (hard === undefined && soft === undefined && both === undefined) return;
  domain.memtune = {
    ...(hard !== undefined && { hard_limit: hard }),
    ...(soft !== undefined && { soft_limit: soft }),
    ...(both !== undefined && { swap_hard_limit: both }),
  };
}

function readCpu(reading: Reading, domain: Domain): void {
  const number = (key: string): number | undefined => {
    const setting = reading.last(key);
    return setting && reading.integer(setting);
  };
  const weight = number('lxc.cgroup2.cpu.weight');
  const shares =
    number('lxc.cgroup.cpu.shares') ?? (weight === undefined ? undefined : Math.round((weight * 1024) / 100));
  const most = reading.last('lxc.cgroup2.cpu.max');
  const [, given, length] = /^(max|\d{1,15})(?: (\d{1,15}))?$/.exec(most?.value ?? '') ?? [];
  if (most && given === undefined) reading.refuse(most, `'${most.value}' is no quota; expected 'QUOTA PERIOD'`);
  const quota = number('lxc.cgroup.cpu.cfs_quota_us') ?? (given === 'max' ? -1 : given && Number(given));
  const period = number('lxc.cgroup.cpu.cfs_period_us') ?? (length && Number(length));
  if (shares === undefined && !quota && !period) return;
  domain.cputune = {
    ...(shares !== undefined && { shares }),
    ...(period && { period }),
    ...(quota && { quota }),
    ...{ vcpupins: [], iothreadpins: [], vcpuscheds: [], iothreadscheds: [], cachetunes: [], memorytunes: [] },
  };
}

function readCpuset(reading: Reading, domain: Domain): void {
  const set = (file: string): string | undefined => {
    const setting = reading.last(`lxc.cgroup.${file}`) ?? reading.last(`lxc.cgroup2.${file}`);
    if (!setting) return undefined;
    return cpuset.parse(setting.value) ?? reading.refuse(setting, `'${setting.value}' is no set of numbers`);
  };
  const cpus = set('cpuset.cpus');
  const nodes = set('cpuset.mems');
  if (cpus !== undefined) domain.vcpu.cpuset = cpus;
  if (nodes !== undefined) domain.numatune = { memory: { mode: 'strict', nodeset: nodes }, memnodes: [] };
}

type BlkioDevice = NonNullable<Domain['blkiotune']>['devices'][number];
type Throttle = Exclude<keyof BlkioDevice, 'path'>;

/** Files of version 1 by member of the document; `io.max` of version 2 has them all in one line. */
const deviceFiles: readonly (readonly [files: readonly string[], member: Throttle])[] = [
  [['blkio.weight_device', 'blkio.device_weight', 'blkio.bfq.weight_device'], 'weight'],
  [['blkio.throttle.read_iops_device'], 'read_iops_sec'],
  [['blkio.throttle.write_iops_device'], 'write_iops_sec'],
  [['blkio.throttle.read_bps_device'], 'read_bytes_sec'],
  [['blkio.throttle.write_bps_device'], 'write_bytes_sec'],
];
const words: ReadonlyMap<string, Throttle> = new Map<string, Throttle>([
  ['riops', 'read_iops_sec'],
  ['wiops', 'write_iops_sec'],
  ['rbps', 'read_bytes_sec'],
  ['wbps', 'write_bytes_sec'],
]);

const weightFiles = ['blkio.weight', 'blkio.bfq.weight'].map((file) => `lxc.cgroup.${file}`);
const unifiedWeights = ['io.weight', 'io.bfq.weight'].map((file) => `lxc.cgroup2.${file}`);

function readBlockIo(reading: Reading, domain: Domain): void {
  const devices = new Map<string, BlkioDevice>();
  const limit = (setting: Setting, number: string, member: Throttle, value: number): void => {
    const device = devices.get(number) ?? at<BlkioDevice>(setting, { path: `/dev/block/${number}` });
    devices.set(number, device);
    device[member] = value;
  };
  let weight: number | undefined;
  for (const setting of reading.matching((key) => weightFiles.includes(key) || unifiedWeights.includes(key))) {
    const [, number, value] = /^(?:(\d+:\d+)\s+|default\s+)?(\d{1,5})$/.exec(setting.value) ?? [];
    if (value === undefined) reading.refuse(setting, `'${setting.value}' is no weight`);
    else if (number === undefined) weight = Number(value);
    else limit(setting, number, 'weight', Number(value));
  }
  for (const [files, member] of deviceFiles)
    for (const setting of reading.matching((key) => files.includes(key.replace(/^lxc\.cgroup\./, '')))) {
      const [, number, value] = /^(\d+:\d+)\s+(\d{1,15})$/.exec(setting.value) ?? [];
      if (number === undefined) reading.refuse(setting, `'${setting.value}' does not say MAJOR:MINOR VALUE`);
      else limit(setting, number, member, Number(value));
    }
  for (const setting of reading.all('lxc.cgroup2.io.max')) {
    const [number = '', ...limits] = setting.value.split(/\s+/);
    for (const one of limits) {
      const [word = '', value = ''] = one.split('=');
      const member = words.get(word);
      if (!/^\d+:\d+$/.test(number) || member === undefined || !/^(max|\d{1,15})$/.test(value))
        reading.refuse(setting, `'${setting.value}' does not say MAJOR:MINOR WORD=VALUE`);
      else if (value !== 'max') limit(setting, number, member, Number(value));
    }
  }
  if (weight === undefined && devices.size === 0) return;
  domain.blkiotune = { ...(weight !== undefined && { weight }), devices: [...devices.values()] };
}
