/** Memory, huge pages, NUMA binding, plugged memory. */
import { lineOf, parseSet } from '../../schema';
import type { Rule } from './rule';

const hugepages: Rule = ({ domain, faults }) => {
  const pages = domain.memoryBacking?.hugepages?.pages ?? [];
  const cells = domain.cpu?.numa?.cells ?? [];
  const masters: number[] = [];
  for (const page of pages) {
    const where = { element: 'page', line: lineOf(page) };
    if (page.nodeset === undefined) masters.push(page.size);
    // Without NUMA cells there is one node: 0.
    const highest = Math.max(cells.length, 1) - 1;
    const beyond = (parseSet(page.nodeset ?? '') ?? []).find((node) => node > highest);
    if (beyond !== undefined) faults.add('XML_ERROR', `hugepages: node ${beyond} not found`, where);
  }
  if (masters.length > 1)
    faults.add('XML_ERROR', `two master hugepages detected: ${masters[0]} and ${masters[1]}`, {
      element: 'hugepages',
      line: lineOf(domain.memoryBacking),
    });
  const other = cells.length === 0 ? pages.find((page) => page.nodeset !== undefined) : undefined;
  if (other && masters[0] !== undefined && other.size !== masters[0])
    faults.add('XML_ERROR', `two master hugepages detected: ${other.size} and ${masters[0]}`, {
      element: 'page',
      line: lineOf(other),
    });
};

const numaBinding: Rule = ({ domain, faults }) => {
  const { numatune, cpu } = domain;
  if (!numatune || numatune.memnodes.length === 0) return;
  const where = { element: 'memnode', line: lineOf(numatune.memnodes[0]) };
  const cells = cpu?.numa?.cells ?? [];
  if (cells.length === 0) {
    faults.add('XML_ERROR', "Element 'memnode' is invalid without any guest NUMA cells", where);
    return;
  }
  if (numatune.memory?.placement === 'auto')
    faults.add('CONFIG_UNSUPPORTED', 'Per-node binding is not compatible with automatic NUMA placement.', where);
  for (const { mode } of numatune.memnodes) {
    const restrictive = numatune.memory?.mode === 'restrictive';
    if (restrictive && mode !== 'restrictive')
      faults.add(
        'XML_ERROR',
        "'restrictive' mode is required in memnode element when mode is 'restrictive' in memory element",
        where,
      );
    else if (!restrictive && numatune.memory && mode === 'restrictive')
      faults.add(
        'XML_ERROR',
        "'restrictive' mode is required in memory element when mode is 'restrictive' in memnode element",
        where,
      );
  }
  for (const { cellid } of numatune.memnodes)
    if (cellid >= cells.length)
      faults.add(
        'XML_ERROR',
        "Argument 'cellid' in memnode element must correspond to existing guest's NUMA cell",
        where,
      );
};

const plugged: Rule = ({ domain, faults }) => {
  const cells = domain.cpu?.numa?.cells.length ?? 0;
  const ranges: { from: number; to: number }[] = [];
  for (const memory of domain.devices.memories) {
    const where = { element: 'memory', line: lineOf(memory) };
    const { node, size, address } = memory.target;
    if (node !== undefined && node >= cells && cells > 0)
      faults.add(
        'CONFIG_UNSUPPORTED',
        `can't add memory backend for guest node '${node}' as the guest has only '${cells}' NUMA nodes configured`,
        where,
      );
    const base = address?.base;
    if (base === undefined || !memory.model.startsWith('virtio')) continue;
    const range = { from: base, to: base + size * 1024 };
    const hit = ranges.find((other) => range.from < other.to && other.from < range.to);
    const hex = (value: number): string => `0x${value.toString(16)}`;
    if (hit)
      faults.add(
        'CONFIG_UNSUPPORTED',
        `memory device address [${hex(hit.from)}:${hex(hit.to)}] overlaps with other memory device (${hex(range.from)})`,
        where,
      );
    ranges.push(range);
  }
};

export const memoryRules: readonly Rule[] = [hugepages, numaBinding, plugged];
