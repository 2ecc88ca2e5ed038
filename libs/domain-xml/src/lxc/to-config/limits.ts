/** How much of the host the container may take, on whichever cgroup version each controller is. */
import type { Domain } from '../../elements/domain';
import { lineOf } from '../../schema';
import type { CgroupController, LxcFacts } from '../facts';
import { deviceNumber } from './device-nodes';
import { unlimitedKib } from '../../elements/tuning';
import { refuse, type ConfigLines, type Where } from './lines';

const kib = 1024;

/** One value in one file of the container's cgroup, on the version that its controller has on this host. */
export interface LxcLimit {
  readonly controller: CgroupController;
  readonly version: 1 | 2;
  readonly file: string;
  readonly value: string;
}

export type LimitFacts = Pick<LxcFacts, 'cgroups' | 'device'>;

/** The limits of one controller; the document's wish fails where the host cannot grant it. */
class Controller {
  constructor(
    private readonly keep: (limit: LxcLimit, where: Where) => void,
    readonly name: CgroupController,
    readonly version: 1 | 2 | undefined,
  ) {}

  /** The file and value of the version that is there, or of the old one alone when the new one has no such thing. */
  set(where: Where, v1: readonly [file: string, value: string | number], v2: typeof v1 | undefined): void {
    if (this.version === undefined)
      refuse(`this host cannot do that: cgroup ${this.name} controller is not mounted`, where);
    const chosen = this.version === 1 ? v1 : v2;
    if (chosen === undefined) refuse(`cgroup version 2 has no '${v1[0]}'`, where);
    const [file, value] = chosen;
    this.keep({ controller: this.name, version: this.version, file, value: String(value) }, where);
  }
}

/**
 * What a document limits, as files of the container's cgroup: what a start is configured with, and what is written when
 * a limit changes while it runs. Throws CONFIG_UNSUPPORTED, with the line, for what this host cannot do.
 */
export function lxcLimits(domain: Domain, facts: LimitFacts): LxcLimit[] {
  const limits: LxcLimit[] = [];
  collect(domain, facts, (limit) => limits.push(limit));
  return limits;
}

export function writeLimits(lines: ConfigLines, domain: Domain, facts: LxcFacts): void {
  const write = ({ version, file, value }: LxcLimit, where: Where): void =>
    lines.set(`lxc.cgroup${version === 1 ? '' : '2'}.${file}`, value, where);
  collect(domain, facts, write);
  if (facts.pidsMax === undefined) return;
  const pids = new Controller(write, 'pids', facts.cgroups.versions.pids);
  pids.set({}, ['pids.max', facts.pidsMax], ['pids.max', facts.pidsMax]);
}

function collect(domain: Domain, facts: LimitFacts, keep: (limit: LxcLimit, where: Where) => void): void {
  const of = (name: CgroupController): Controller => new Controller(keep, name, facts.cgroups.versions[name]);
  writeMemory(of('memory'), domain, facts);
  writeCpu(of('cpu'), domain);
  writeCpuset(of('cpuset'), domain);
  writeBlockIo(of('blkio'), domain, facts);
}

/** Bytes of memory that the container gets: its hard limit, or what it is given now. */
function memoryLimit({ memtune, memory, currentMemory }: Domain): number {
  return (memtune?.hard_limit ?? currentMemory ?? memory.kib) * kib;
}

/** Bytes; undefined when there is no limit. */
const amount = (limit: number): number | undefined => (limit >= unlimitedKib ? undefined : limit * kib);

function writeMemory(memory: Controller, domain: Domain, { cgroups }: LimitFacts): void {
  const { memtune } = domain;
  const where = { element: 'memtune', line: lineOf(memtune) };
  const limit = memoryLimit(domain);
  if (memory.version !== undefined || memtune?.hard_limit !== undefined)
    memory.set(where, ['memory.limit_in_bytes', limit], ['memory.max', limit]);
  if (memtune?.soft_limit !== undefined) {
    const soft = amount(memtune.soft_limit);
    memory.set(where, ['memory.soft_limit_in_bytes', soft ?? -1], ['memory.high', soft ?? 'max']);
  }
  if (memtune?.swap_hard_limit !== undefined) {
    const both = amount(memtune.swap_hard_limit);
    if (!cgroups.swap) refuse('<swap_hard_limit> cannot be kept: this host does not count swap', where);
    if (both !== undefined && both < limit)
      refuse('<swap_hard_limit> is memory and swap together and cannot be below <hard_limit>', where);
    const swap = both === undefined ? 'max' : both - limit;
    memory.set(where, ['memory.memsw.limit_in_bytes', both ?? -1], ['memory.swap.max', swap]);
  }
}

/** A share of 1024 is everybody's default on version 1, a weight of 100 on version 2. */
export const cpuWeight = (shares: number): number => Math.min(10_000, Math.max(1, Math.round((shares * 100) / 1024)));

/** The kernel's default when only a quota is given. */
const defaultPeriod = 100_000;

function writeCpu(cpu: Controller, { cputune }: Domain): void {
  if (!cputune) return;
  const where = { element: 'cputune', line: lineOf(cputune) };
  const { shares, period, quota } = cputune;
  if (shares !== undefined) cpu.set(where, ['cpu.shares', shares], ['cpu.weight', cpuWeight(shares)]);
  if (cpu.version === 2) {
    if (period === undefined && quota === undefined) return;
    const most = quota === undefined || quota < 0 ? 'max' : quota;
    cpu.set(where, ['', ''], ['cpu.max', `${most} ${period ?? defaultPeriod}`]);
    return;
  }
  if (period) cpu.set(where, ['cpu.cfs_period_us', period], undefined);
  if (quota) cpu.set(where, ['cpu.cfs_quota_us', quota], undefined);
}

function writeCpuset(cpuset: Controller, { vcpu, numatune }: Domain): void {
  if (vcpu.cpuset !== undefined)
    cpuset.set({ element: 'vcpu', line: lineOf(vcpu) }, ['cpuset.cpus', vcpu.cpuset], ['cpuset.cpus', vcpu.cpuset]);
  const nodes = numatune?.memory?.nodeset;
  if (nodes !== undefined)
    cpuset.set({ element: 'numatune', line: lineOf(numatune) }, ['cpuset.mems', nodes], ['cpuset.mems', nodes]);
}

/** Members of `<blkiotune><device>`, the file of version 1, the word in version 2's `io.max`. */
const throttles = [
  ['read_iops_sec', 'read_iops_device', 'riops'],
  ['write_iops_sec', 'write_iops_device', 'wiops'],
  ['read_bytes_sec', 'read_bps_device', 'rbps'],
  ['write_bytes_sec', 'write_bps_device', 'wbps'],
] as const;

function writeBlockIo(blkio: Controller, { blkiotune }: Domain, facts: LimitFacts): void {
  if (!blkiotune) return;
  const weightFile = (where: Where): string =>
    facts.cgroups.blkioWeight ?? refuse("this host's kernel has no weights for block I/O", where);
  const own = { element: 'blkiotune', line: lineOf(blkiotune) };
  if (blkiotune.weight) {
    const file = [weightFile(own), blkiotune.weight] as const;
    blkio.set(own, file, file);
  }
  for (const device of blkiotune.devices) {
    const where = { element: 'device', line: lineOf(device) };
    const { major, minor } = deviceNumber(device.path, facts, where);
    if (device.weight) {
      const value = `${major}:${minor} ${device.weight}`;
      blkio.set(where, [`${weightFile(where)}_device`, value], [weightFile(where), value]);
    }
    for (const [member, file, word] of throttles) {
      const most = device[member];
      if (most === undefined) continue;
      const unified = `${major}:${minor} ${word}=${most === 0 ? 'max' : most}`;
      blkio.set(where, [`blkio.throttle.${file}`, `${major}:${minor} ${most}`], ['io.max', unified]);
    }
  }
}
