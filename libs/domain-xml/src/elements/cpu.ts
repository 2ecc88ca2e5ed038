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
  type Model,
  type ModelOf,
  type ReadContext,
} from '../schema';
import type { XmlElement } from '../xml/reader';

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

const cpuFields = {
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
};
export type Cpu = Model<typeof cpuFields>;

export const cpu = element('cpu', cpuFields, { refine: refineCpu });

/** What libvirt reads into a `<cpu>` that leaves things out. */
function refineCpu(model: Cpu, { line }: XmlElement, context: ReadContext): void {
  const { numa } = model;
  const named = model.model?.name !== undefined;
  if (named) model.mode ??= 'custom';
  if (named && model.mode === 'custom') model.match ??= 'exact';
  if (named && model.model) model.model.fallback ??= 'allow';
  if (!named && model.model?.vendor_id === undefined) delete model.model;
  if (model.mode === 'host-model' || model.mode === 'custom')
    for (const feature of model.features) feature.policy ??= 'require';
  if (numa) completeCells(numa.cells, line, context);
}

/** Cells by rising id, each id once; distances told in one direction hold in both. */
function completeCells(cells: NumaCell[], line: number, context: ReadContext): void {
  const taken = new Set<number | undefined>();
  cells.forEach((cell, position) => {
    cell.id ??= position;
    if (cell.id >= cells.length)
      context.fault(
        'XML_ERROR',
        `Exactly one 'cell' element per guest NUMA cell allowed, non-contiguous ranges or ranges not starting from 0 are not allowed`,
        { element: 'cell', line },
      );
    if (taken.has(cell.id))
      context.fault('XML_ERROR', `Duplicate NUMA cell info for cell id '${cell.id}'`, { element: 'cell', line });
    taken.add(cell.id);
  });
  cells.sort((a, b) => (a.id ?? 0) - (b.id ?? 0));
  if (!cells.some((cell) => cell.distances)) return;
  const known = cells.map(() => new Map<number, number>());
  for (const { id = 0, distances } of cells) {
    for (const { id: sibling, value } of distances?.siblings ?? []) {
      if (sibling >= cells.length) {
        context.fault(
          'XML_ERROR',
          `'sibling_id ${sibling}' does not refer to a valid cell within NUMA 'cell id ${id}'`,
          { element: 'sibling', line },
        );
        continue;
      }
      known[id]?.set(sibling, value);
      known[id]?.set(id, known[id].get(id) ?? 10);
      if (!known[sibling]?.has(id)) known[sibling]?.set(id, value);
      if (!known[sibling]?.has(sibling)) known[sibling]?.set(sibling, 10);
    }
  }
  for (const cell of cells) {
    const row = known[cell.id ?? 0];
    if (row?.size)
      cell.distances = { siblings: [...row].sort(([a], [b]) => a - b).map(([id, value]) => ({ id, value })) };
  }
}
