/** `<cpu>`: the virtual processor, its topology and the guest's NUMA cells. */
import {
  element,
  attr,
  leaf,
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
  kib,
  bytesShort,
  cpuset,
  type ModelOf,
} from '../schema';

const cellCache = element('cache', {
  level: attr(uint, { required: true }),
  associativity: attr(oneOf('none', 'direct', 'full'), { required: true }),
  policy: attr(oneOf('none', 'writeback', 'writethrough'), { required: true }),
  size: one(element('size', { value: attr(kib, { required: true }) }), { required: true }),
  line: one(element('line', { value: attr(bytesShort, { required: true }) }), { required: true }),
});

const cell = element('cell', {
  id: attr(uint),
  cpus: attr(cpuset),
  memory: attr(kib, { required: true }),
  memAccess: attr(oneOf('shared', 'private')),
  discard: attr(yesNo),
  distances: one(
    element('distances', {
      siblings: many(
        element('sibling', {
          id: attr(uint, { required: true }),
          value: attr(int({ min: 10, max: 255 }), { required: true }),
        }),
      ),
    }),
  ),
  caches: many(cellCache),
});
export type NumaCell = ModelOf<typeof cell>;

const initiator = {
  initiator: attr(uint, { required: true }),
  target: attr(uint, { required: true }),
  cache: attr(uint),
};
const accessType = attr(oneOf('access', 'read', 'write'), { required: true });

const interconnects = element('interconnects', {
  latencies: many(element('latency', { ...initiator, type: accessType, value: attr(ulong, { required: true }) })),
  bandwidths: many(element('bandwidth', { ...initiator, type: accessType, value: attr(kib, { required: true }) })),
});

export const cpu = element('cpu', {
  mode: attr(oneOf('custom', 'host-model', 'host-passthrough', 'maximum')),
  match: attr(oneOf('minimum', 'exact', 'strict')),
  check: attr(oneOf('none', 'partial', 'full')),
  migratable: attr(onOff),
  deprecated_features: attr(onOff),
  model: one(
    element('model', { fallback: attr(oneOf('allow', 'forbid')), vendor_id: attr(string), name: text(string) }),
  ),
  vendor: leaf(string),
  topology: one(
    element('topology', {
      sockets: attr(uint),
      dies: attr(uint, { default: 1 }),
      clusters: attr(uint, { default: 1 }),
      cores: attr(uint),
      threads: attr(uint),
    }),
  ),
  cache: one(
    element('cache', {
      level: attr(int({ min: 1, max: 3 })),
      mode: attr(oneOf('emulate', 'passthrough', 'disable'), { required: true }),
    }),
  ),
  maxphysaddr: one(
    element('maxphysaddr', {
      mode: attr(oneOf('emulate', 'passthrough'), { required: true }),
      bits: attr(uint),
      limit: attr(uint),
    }),
  ),
  features: many(
    element('feature', {
      policy: attr(oneOf('force', 'require', 'optional', 'disable', 'forbid')),
      name: attr(string, { required: true }),
    }),
  ),
  numa: one(element('numa', { cells: many(cell), interconnects: one(interconnects) })),
});
export type Cpu = ModelOf<typeof cpu>;
