/**
 * What the host is made of: processors, memory and their NUMA cells, read from /sys and /proc.
 */
import { readdir, readFile } from 'node:fs/promises';
import { cpus, machine } from 'node:os';

export interface HostProcessor {
  readonly id: number;
  readonly socket: number;
  readonly die: number;
  readonly cluster: number;
  readonly core: number;
  /** Processors that share its core, itself included. */
  readonly siblings: readonly number[];
}

export interface HostCell {
  readonly id: number;
  readonly memoryKiB: number;
  readonly processors: readonly HostProcessor[];
}

export interface HostInfo {
  /** Stable for this host; from its firmware, else derived from its machine id. */
  readonly uuid: string;
  /** libvirt's name, e.g. `x86_64`. */
  readonly arch: string;
  readonly cpuModel: string;
  /** One entry for a host without NUMA. */
  readonly cells: readonly HostCell[];
}

const SYSTEM = '/sys/devices/system';

export async function readHostInfo(): Promise<HostInfo> {
  const nodes = (await readdir(`${SYSTEM}/node`).catch(() => [])).filter((name) => /^node\d+$/.test(name));
  const cells = nodes.length > 0 ? await Promise.all(nodes.map(readCell)) : [await wholeHost()];
  return {
    uuid: await hostUuid(),
    arch: machine(),
    cpuModel: cpus()[0]?.model.trim() ?? '',
    cells: cells.sort((a, b) => a.id - b.id),
  };
}

async function readCell(node: string): Promise<HostCell> {
  const total = /MemTotal:\s+(\d+) kB/.exec(await text(`${SYSTEM}/node/${node}/meminfo`));
  return {
    id: Number(node.slice('node'.length)),
    memoryKiB: Number(total?.[1] ?? 0),
    processors: await readProcessors(parseList(await text(`${SYSTEM}/node/${node}/cpulist`))),
  };
}

async function wholeHost(): Promise<HostCell> {
  const total = /^MemTotal:\s+(\d+) kB/m.exec(await text('/proc/meminfo'));
  const processors = await readProcessors(parseList(await text(`${SYSTEM}/cpu/online`)));
  return { id: 0, memoryKiB: Number(total?.[1] ?? 0), processors };
}

function readProcessors(ids: number[]): Promise<HostProcessor[]> {
  return Promise.all(
    ids.map(async (id) => {
      const topology = `${SYSTEM}/cpu/cpu${id}/topology`;
      // The kernel says -1 where a level does not exist.
      const level = async (name: string): Promise<number> =>
        Math.max(0, Number(await text(`${topology}/${name}`)) || 0);
      return {
        id,
        socket: await level('physical_package_id'),
        die: await level('die_id'),
        cluster: await level('cluster_id'),
        core: await level('core_id'),
        siblings: parseList(await text(`${topology}/thread_siblings_list`, String(id))),
      };
    }),
  );
}

/** `0-2,5` → 0, 1, 2, 5. */
export function parseList(list: string): number[] {
  return list
    .trim()
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number);
      return Array.from({ length: last! - first! + 1 }, (_unused, i) => first! + i);
    });
}

async function hostUuid(): Promise<string> {
  const firmware = (await text('/sys/class/dmi/id/product_uuid')).trim().toLowerCase();
  if (/^[0-9a-f-]{36}$/.test(firmware) && new Set(firmware.replaceAll('-', '')).size > 1) return firmware;
  const id = (await text('/etc/machine-id', '0'.repeat(32))).trim();
  return id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}

function text(path: string, absent = ''): Promise<string> {
  return readFile(path, 'utf8').catch(() => absent);
}
