/** The `<host>` part of a host's capabilities (libvirt: `virsh capabilities`), the same whatever runs on it. */
import { type HostCell, type HostInfo } from './host-info';
import { type XmlNode } from './xml-document';

export interface HostDocument {
  readonly uuid: string;
  readonly cpu: {
    readonly arch: string;
    readonly model: string;
    readonly topology: { sockets: number; dies: number; clusters: number; cores: number; threads: number };
  };
  readonly cells: readonly HostCell[];
}

export function hostDocument(host: HostInfo): HostDocument {
  const cpu = { arch: host.arch, model: host.cpuModel, topology: topologyOf(host) };
  return { uuid: host.uuid, cpu, cells: host.cells };
}

/** @param features of the hypervisor, between processor and topology */
export function hostNode({ uuid, cpu, cells }: HostDocument, features: readonly XmlNode[]): XmlNode {
  const { arch, model, topology } = cpu;
  const processor: XmlNode[] = [
    ['arch', {}, arch],
    ...(model === '' ? [] : [['model', {}, model] as const]),
    ['topology', topology],
  ];
  return [
    'host',
    {},
    [
      ['uuid', {}, uuid],
      ['cpu', {}, processor],
      ...features,
      ['topology', {}, [['cells', { num: cells.length }, cells.map(cellNode)]]],
    ],
  ];
}

/** Per socket, die, cluster and core of an even host; an uneven one is shown as one socket of single-threaded cores. */
function topologyOf(host: HostInfo): HostDocument['cpu']['topology'] {
  const all = host.cells.flatMap((cell) => cell.processors);
  const count = (key: (processor: (typeof all)[number]) => string): number => new Set(all.map(key)).size;
  const sockets = count((p) => `${p.socket}`);
  const dies = count((p) => `${p.socket}.${p.die}`);
  const cores = count((p) => `${p.socket}.${p.die}.${p.core}`);
  const even = dies % sockets === 0 && cores % dies === 0 && all.length % cores === 0;
  if (!even) return { sockets: 1, dies: 1, clusters: 1, cores: all.length, threads: 1 };
  return { sockets, dies: dies / sockets, clusters: 1, cores: cores / dies, threads: all.length / cores };
}

function cellNode(cell: HostCell): XmlNode {
  const processors = cell.processors.map(
    (p) =>
      [
        'cpu',
        {
          id: p.id,
          socket_id: p.socket,
          die_id: p.die,
          cluster_id: p.cluster,
          core_id: p.core,
          siblings: p.siblings.join(','),
        },
      ] as const,
  );
  return [
    'cell',
    { id: cell.id },
    [
      ['memory', { unit: 'KiB' }, cell.memoryKiB],
      ['cpus', { num: processors.length }, processors],
    ],
  ];
}
