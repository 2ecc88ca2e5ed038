/** How much of the host a guest may take and where: memory, vCPUs, threads, block I/O, NUMA nodes. */
import {
  element,
  attr,
  leaf,
  flag,
  one,
  many,
  text,
  oneOf,
  string,
  yesNo,
  onOff,
  uint,
  int,
  ulong,
  long,
  kib,
  prettyKib,
  bigUlong,
  cpuset,
  parseSet,
  type Model,
  type ReadContext,
} from '../schema';
import { throttlegroup } from './disk';

const cpus = (raw: string) => `Failed to parse bitmap '${raw}'`;
const cpusetOptions = { refuse: ['INVALID_ARG', cpus] } as const;

export const memory = element('memory', {
  dumpCore: attr(onOff),
  /** In KiB. */
  kib: text(kib, { default: 0 }),
});

export const maxMemory = element('maxMemory', {
  slots: attr(uint),
  /** In KiB. */
  kib: text(kib, { default: 0 }),
});

export const memoryBacking = element('memoryBacking', {
  hugepages: one(
    element(
      'hugepages',
      { pages: many(element('page', { size: attr(kib, { required: true }), nodeset: attr(cpuset) })) },
      { keepEmpty: true },
    ),
  ),
  nosharepages: flag(),
  locked: flag(),
  source: one(element('source', { type: attr(oneOf('file', 'anonymous', 'memfd'), { required: true }) })),
  access: one(element('access', { mode: attr(oneOf('shared', 'private'), { required: true }) })),
  allocation: one(element('allocation', { mode: attr(oneOf('immediate', 'ondemand')), threads: attr(uint) })),
  discard: flag(),
});

const blkioDevice = element('device', {
  path: leaf(string, { required: true }),
  weight: leaf(uint, { omit: 0 }),
  read_iops_sec: leaf(uint, { omit: 0 }),
  write_iops_sec: leaf(uint, { omit: 0 }),
  read_bytes_sec: leaf(ulong, { omit: 0 }),
  write_bytes_sec: leaf(ulong, { omit: 0 }),
});
export const blkiotune = element('blkiotune', { weight: leaf(uint, { omit: 0 }), devices: many(blkioDevice) });

/** At least this many KiB is no limit. */
export const unlimitedKib = 2 ** 53 - 1;
const limit = () =>
  leaf(
    { ...kib, parse: (raw: string) => (/^\d+$/.test(raw) ? Math.min(Number(raw), unlimitedKib) : undefined) },
    { omit: unlimitedKib },
  );

export const memtune = element('memtune', {
  hard_limit: limit(),
  soft_limit: limit(),
  min_guarantee: limit(),
  swap_hard_limit: limit(),
});

export const vcpu = element('vcpu', {
  placement: attr(oneOf('static', 'auto')),
  cpuset: attr(cpuset, cpusetOptions),
  current: attr(uint),
  count: text(
    {
      ...int({ min: 1, max: 65535 }),
      parse: (raw) => int({ min: 1, max: 65535 }).parse(raw.trim() === '' ? '1' : raw),
    },
    {
      default: 1,
      refuse: ['XML_ERROR', () => 'maximum vcpus must be an integer'],
    },
  ),
});

export const vcpus = element('vcpus', {
  vcpus: many(
    element('vcpu', {
      id: attr(uint, { required: true }),
      enabled: attr(yesNo, { required: true }),
      hotpluggable: attr(yesNo),
      order: attr(uint),
    }),
  ),
});

export const iothreadids = element('iothreadids', {
  iothreads: many(
    element('iothread', {
      id: attr(uint, { required: true }),
      thread_pool_min: attr(int({ min: 0 })),
      thread_pool_max: attr(int({ min: 0 })),
      poll: one(element('poll', { max: attr(bigUlong), grow: attr(bigUlong), shrink: attr(bigUlong) })),
    }),
  ),
});
export const defaultiothread = element('defaultiothread', {
  thread_pool_min: attr(int({ min: 0 })),
  thread_pool_max: attr(int({ min: 0 })),
});

const scheduler = { scheduler: attr(oneOf('batch', 'idle', 'fifo', 'rr'), { required: true }), priority: attr(int()) };
const period = () => leaf(ulong, { omit: 0 });
const quota = () => leaf(long, { omit: 0 });

const cacheMonitor = element('monitor', { level: attr(uint), vcpus: attr(cpuset) });

const cputuneFields = {
  shares: leaf(ulong),
  period: period(),
  quota: quota(),
  global_period: period(),
  global_quota: quota(),
  emulator_period: period(),
  emulator_quota: quota(),
  iothread_period: period(),
  iothread_quota: quota(),
  vcpupins: many(
    element('vcpupin', {
      vcpu: attr(uint, { required: true }),
      cpuset: attr(cpuset, { ...cpusetOptions, required: true }),
    }),
  ),
  emulatorpin: one(element('emulatorpin', { cpuset: attr(cpuset, { ...cpusetOptions, required: true }) })),
  iothreadpins: many(
    element('iothreadpin', {
      iothread: attr(uint, { required: true }),
      cpuset: attr(cpuset, { ...cpusetOptions, required: true }),
    }),
  ),
  emulatorsched: one(element('emulatorsched', scheduler)),
  vcpuscheds: many(element('vcpusched', { vcpus: attr(cpuset), ...scheduler })),
  iothreadscheds: many(element('iothreadsched', { iothreads: attr(cpuset), ...scheduler })),
  cachetunes: many(
    element('cachetune', {
      vcpus: attr(cpuset, { required: true }),
      id: attr(string, { live: true }),
      caches: many(
        element('cache', {
          id: attr(uint, { required: true }),
          level: attr(uint, { required: true }),
          type: attr(oneOf('code', 'data', 'both'), { required: true }),
          size: attr(prettyKib, { required: true }),
        }),
      ),
      monitors: many(cacheMonitor),
    }),
  ),
  memorytunes: many(
    element('memorytune', {
      vcpus: attr(cpuset, { required: true }),
      nodes: many(element('node', { id: attr(uint, { required: true }), bandwidth: attr(uint, { required: true }) })),
      monitors: many(cacheMonitor),
    }),
  ),
};
export type Cputune = Model<typeof cputuneFields>;

export const cputune = element('cputune', cputuneFields, {
  refine: (model: Cputune, { line }, context) => {
    // A scheduler is kept for each thread by itself.
    model.vcpuscheds = model.vcpuscheds
      .flatMap((one) => (parseSet(one.vcpus ?? '') ?? []).map((vcpu) => ({ ...one, vcpus: `${vcpu}` })))
      .sort((a, b) => Number(a.vcpus) - Number(b.vcpus));
    model.iothreadscheds = model.iothreadscheds
      .flatMap((one) => (parseSet(one.iothreads ?? '') ?? []).map((thread) => ({ ...one, iothreads: `${thread}` })))
      .sort((a, b) => Number(a.iothreads) - Number(b.iothreads));
    checkCacheTunes(model, line, context);
  },
});

/** No vCPU in two groups, no cache twice in one, and monitors only on vCPUs of their group. */
function checkCacheTunes({ cachetunes, memorytunes }: Cputune, line: number, context: ReadContext): void {
  const groups = (list: { vcpus: string }[], what: string): void => {
    const seen = new Set<number>();
    for (const { vcpus } of list)
      for (const vcpu of parseSet(vcpus) ?? []) {
        if (seen.has(vcpu)) context.fault('XML_ERROR', `Overlapping vcpus in ${what}s`, { element: what, line });
        seen.add(vcpu);
      }
  };
  groups(cachetunes, 'cachetune');
  groups(memorytunes, 'memorytune');
  for (const { vcpus, caches, monitors } of cachetunes) {
    const keys = caches.map(({ id, level, type }) => `${level} ${type} ${id}`);
    if (new Set(keys).size < keys.length)
      context.fault('XML_ERROR', 'Cache allocation is given twice', { element: 'cachetune', line });
    const own = new Set(parseSet(vcpus));
    for (const monitor of monitors)
      if ((parseSet(monitor.vcpus ?? '') ?? []).some((vcpu) => !own.has(vcpu)))
        context.fault('INVALID_ARG', 'Aggregation of vcpus for monitor is not within its cachetune', {
          element: 'monitor',
          line,
        });
  }
  for (const { nodes } of memorytunes) {
    const ids = nodes.map(({ id }) => id);
    if (new Set(ids).size < ids.length)
      context.fault('XML_ERROR', 'Memory Bandwidth allocation is given twice for a node', {
        element: 'memorytune',
        line,
      });
  }
}

const numaMode = oneOf('strict', 'preferred', 'interleave', 'restrictive');
const nodeset = { refuse: ['CONFIG_UNSUPPORTED', (raw: string) => `Invalid value of 'nodeset': ${raw}`] } as const;
const nonEmptySet = { ...cpuset, parse: (raw: string) => cpuset.parse(raw) || undefined };

export const numatune = element('numatune', {
  memory: one(
    element('memory', {
      mode: attr(numaMode),
      nodeset: attr(nonEmptySet, nodeset),
      placement: attr(oneOf('static', 'auto'), { omit: 'static' }),
    }),
  ),
  memnodes: many(
    element('memnode', {
      cellid: attr(uint, { required: true }),
      mode: attr(numaMode, { default: 'strict' }),
      nodeset: attr(nonEmptySet, { ...nodeset, required: true }),
    }),
  ),
});

export const resource = element('resource', {
  partition: leaf(string),
  fibrechannel: one(element('fibrechannel', { appid: attr(string) })),
});

export const throttlegroups = element('throttlegroups', {
  groups: many(throttlegroup),
});
