/** What the container's cgroup holds it to, and holding it to something else. */
import { cpuWeight, type Domain } from '@virtbus/domain-xml';
import { tuningOf, type Facets } from '@virtbus/driver-runtime';
import type { BlockIoTuning, MemoryTuning, SchedulerTuning } from '@virtbus/shared';
import type { ContainerCgroup } from '../cgroups';
import type { LxcGuest } from '../guest';
import type { Machine } from '../machine';
import { holdTo } from './limits';

export function tuningFacet(machine: Machine): NonNullable<Facets<LxcGuest>['tuning']> {
  return {
    read: ({ cgroup, live }) => ({
      cpu: schedulerOf(cgroup, live),
      memory: memoryOf(cgroup),
      blockIo: blockIoOf(cgroup, live, machine.capabilities.cgroups.blkioWeight),
    }),
    apply: (guest, tuned) => holdTo(guest, machine, tuned),
  };
}

function schedulerOf(cgroup: ContainerCgroup, live: Domain): SchedulerTuning {
  const number = (file: string): number | undefined => numberIn(cgroup.read('cpu', file, ''));
  if (cgroup.version('cpu') === 1) {
    const [shares, periodUs, quotaUs] = ['cpu.shares', 'cpu.cfs_period_us', 'cpu.cfs_quota_us'].map(number);
    return { ...given('shares', shares), ...given('periodUs', periodUs), ...given('quotaUs', quotaUs) };
  }
  const weight = numberIn(cgroup.read('cpu', '', 'cpu.weight'));
  const [quota, period] = (cgroup.read('cpu', '', 'cpu.max') ?? '').trim().split(' ');
  return {
    ...given('shares', weight === undefined ? undefined : sharesFor(weight, live)),
    ...given('periodUs', numberIn(period)),
    ...given('quotaUs', quota === 'max' ? -1 : numberIn(quota)),
  };
}

/** A weight stands for many shares: those of the document, when they are among them. */
function sharesFor(weight: number, { cputune }: Domain): number {
  const { shares } = cputune ?? {};
  return shares !== undefined && cpuWeight(shares) === weight ? shares : Math.round((weight * 1024) / 100);
}

function memoryOf(cgroup: ContainerCgroup): MemoryTuning {
  const limit = (v1: string, v2: string): number | null | undefined => kibIn(cgroup.read('memory', v1, v2));
  const hardKiB = limit('memory.limit_in_bytes', 'memory.max');
  const swapOrBoth = limit('memory.memsw.limit_in_bytes', 'memory.swap.max');
  const swapHardKiB =
    typeof swapOrBoth === 'number' && cgroup.version('memory') === 2 ? swapOrBoth + (hardKiB ?? 0) : swapOrBoth;
  return {
    ...given('hardKiB', hardKiB),
    ...given('softKiB', limit('memory.soft_limit_in_bytes', 'memory.high')),
    ...given('swapHardKiB', swapHardKiB),
  };
}

/** The limits of devices are those of the document: nobody else writes them. */
function blockIoOf(cgroup: ContainerCgroup, live: Domain, file: string | undefined): BlockIoTuning {
  const text = file === undefined ? undefined : cgroup.read('blkio', file, file);
  const weight = numberIn(/^(?:default )?(\d+)$/m.exec(text ?? '')?.[1]);
  return { ...given('weight', weight), devices: tuningOf(live).blockIo.devices };
}

/** Bytes in a file as KiB; null when there is no limit, which version 1 tells by the most whole pages that it can count. */
function kibIn(text: string | undefined): number | null | undefined {
  if (text?.trim() === 'max') return null;
  const bytes = numberIn(text);
  return bytes !== undefined && bytes >= 2 ** 62 ? null : bytes === undefined ? undefined : Math.floor(bytes / 1024);
}

const numberIn = (text: string | undefined): number | undefined =>
  text === undefined || text.trim() === '' ? undefined : Number(text);

const given = <K extends string, T>(name: K, value: T | undefined): { [N in K]?: T } =>
  (value === undefined ? {} : { [name]: value }) as { [N in K]?: T };
