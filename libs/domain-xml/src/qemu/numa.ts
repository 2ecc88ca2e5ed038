/** NUMA cells of the guest: their memory, vCPUs, distances, latencies and caches. */
import { findMachine } from '../capabilities';
import type { NumaCell } from '../elements/cpu';
import { parseSet } from '../schema';
import { unsupported, type Guest } from './context';
import { aligned } from './memory';
import { hostMemoryObject, needsBackend, type MemoryRequest } from './memory-backend';
import { escapeWord, words } from './props';
import type { CommandWords } from './words';

export function addNuma(out: CommandWords, guest: Guest): void {
  const { domain } = guest;
  const cells = domain.cpu?.numa?.cells ?? [];
  if (cells.length === 0) return;
  const requests = cells.map((cell, index): MemoryRequest => {
    const number = cell.id ?? index;
    const kib = aligned(guest, cell.memory);
    if (kib > Number.MAX_SAFE_INTEGER) unsupported(`memory size of NUMA node '${number}' overflowed after alignment`);
    return { id: `ram-node${number}`, kib, cell: number };
  });
  const machine = findMachine(guest.context.capabilities, domain.type, domain.os.type?.machine ?? '');
  const byNumber = machine?.numaMemSupported === true && !requests.some((request) => needsBackend(guest, request));
  if (byNumber && domain.memoryBacking?.allocation?.mode === 'immediate') out.add('-mem-prealloc');
  const hasHmat = domain.cpu?.numa?.interconnects !== undefined || cells.some(({ caches }) => caches.length > 0);
  cells.forEach((cell, index) => {
    const request = requests[index] as MemoryRequest;
    if (!byNumber) out.objects(hostMemoryObject(guest, request));
    out.add(
      '-numa',
      ['node', `nodeid=${request.cell}`, ...cpuRanges(cell)]
        .concat(hasHmat ? [`initiator=${initiatorOf(cells, cell, index)}`] : [])
        .concat(byNumber ? [`mem=${Math.floor(request.kib / 1024)}`] : [`memdev=${request.id}`])
        .join(','),
    );
  });
  addDistances(out, cells);
  if (hasHmat) addInterconnects(out, guest, cells);
}

/** `cpus=0-3` for each range. */
function cpuRanges({ cpus }: NumaCell): string[] {
  return cpus === undefined || cpus === '' ? [] : cpus.split(',').map((range) => `cpus=${escapeWord(range)}`);
}

/** A cell with vCPUs starts its own requests; another one is nearest to the first that has some. */
function initiatorOf(cells: readonly NumaCell[], cell: NumaCell, index: number): number {
  if (cell.cpus) return cell.id ?? index;
  const first = cells.findIndex(({ cpus }) => (parseSet(cpus ?? '')?.length ?? 0) > 0);
  return cells[first]?.id ?? Math.max(0, first);
}

function addDistances(out: CommandWords, cells: readonly NumaCell[]): void {
  if (!cells.some(({ distances }) => distances !== undefined)) return;
  cells.forEach((from, src) => {
    cells.forEach((_, dst) => {
      const told = from.distances?.siblings.find(({ id }) => id === dst)?.value;
      out.add('-numa', words('dist', { src, dst, val: told ?? (src === dst ? localDistance : remoteDistance) }));
    });
  });
}

/** ACPI's distances of a node to itself and to others that say nothing. */
const localDistance = 10;
const remoteDistance = 20;

const levelNames = ['memory', 'first-level', 'second-level', 'third-level'];

function addInterconnects(out: CommandWords, { domain }: Guest, cells: readonly NumaCell[]): void {
  const { latencies = [], bandwidths = [] } = domain.cpu?.numa?.interconnects ?? {};
  const common = ({ initiator, target, cache }: (typeof latencies)[number]) => ({
    initiator,
    target,
    hierarchy: levelNames[cache ?? 0] ?? 'memory',
  });
  for (const one of latencies)
    out.add('-numa', words('hmat-lb', { ...common(one), 'data-type': `${one.type}-latency`, latency: one.value }));
  for (const one of bandwidths)
    out.add(
      '-numa',
      words('hmat-lb', { ...common(one), 'data-type': `${one.type}-bandwidth`, bandwidth: `${one.value}K` }),
    );
  cells.forEach(({ id, caches }, index) => {
    for (const { level, size, line, associativity, policy } of caches)
      out.add(
        '-numa',
        words('hmat-cache', {
          'node-id': id ?? index,
          size: `${size.value}K`,
          level,
          associativity: associativity === 'full' ? 'complex' : associativity,
          policy: policy === 'writeback' ? 'write-back' : policy === 'writethrough' ? 'write-through' : policy,
          line: line.value,
        }),
      );
  });
}
