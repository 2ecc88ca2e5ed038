/**
 * The host's capabilities (libvirt: `virsh capabilities`): what it is made of and which guests it can run. JSON form and
 * XML; the XML is written from the JSON form.
 */
import { type QemuCapabilities } from '@virtbus/domain-xml';
import { type HostCell, type HostInfo } from './host-info';
import { formatXml, type XmlNode } from './xml-document';

export interface GuestSupport {
  readonly osType: 'hvm';
  readonly arch: string;
  readonly wordSize: 32 | 64;
  readonly emulator: string;
  /** An alias (`q35`) says which machine it stands for. */
  readonly machines: readonly { name: string; canonical?: string; maxCpus: number; deprecated: boolean }[];
  /** Domain types: `qemu`, `kvm`. */
  readonly domainTypes: readonly string[];
}

export interface HostCapabilities {
  readonly host: {
    readonly uuid: string;
    readonly cpu: {
      readonly arch: string;
      readonly model: string;
      readonly topology: { sockets: number; dies: number; clusters: number; cores: number; threads: number };
    };
    readonly migration: { readonly live: true; readonly uriTransports: readonly string[] };
    readonly cells: readonly HostCell[];
  };
  readonly guests: readonly GuestSupport[];
}

/** Architectures whose guests count in 32-bit words. */
const narrow = new Set([
  'i686',
  'armv7l',
  'mips',
  'mipsel',
  'ppc',
  'riscv32',
  'sparc',
  'm68k',
  'sh4',
  'xtensa',
  'or32',
]);

export function hostCapabilities(host: HostInfo, emulators: readonly QemuCapabilities[]): HostCapabilities {
  return {
    host: {
      uuid: host.uuid,
      cpu: { arch: host.arch, model: host.cpuModel, topology: topologyOf(host) },
      migration: { live: true, uriTransports: ['tcp'] },
      cells: host.cells,
    },
    guests: emulators.map(guestSupport),
  };
}

/** Per socket, die, cluster and core of an even host; an uneven one is shown as one socket of single-threaded cores. */
function topologyOf(host: HostInfo): HostCapabilities['host']['cpu']['topology'] {
  const all = host.cells.flatMap((cell) => cell.processors);
  const count = (key: (processor: (typeof all)[number]) => string): number => new Set(all.map(key)).size;
  const sockets = count((p) => `${p.socket}`);
  const dies = count((p) => `${p.socket}.${p.die}`);
  const cores = count((p) => `${p.socket}.${p.die}.${p.core}`);
  const even = dies % sockets === 0 && cores % dies === 0 && all.length % cores === 0;
  if (!even) return { sockets: 1, dies: 1, clusters: 1, cores: all.length, threads: 1 };
  return { sockets, dies: dies / sockets, clusters: 1, cores: cores / dies, threads: all.length / cores };
}

function guestSupport(capabilities: QemuCapabilities): GuestSupport {
  const { kvm, tcg } = capabilities.accelerators;
  const machines = (tcg ?? kvm)?.machines ?? [];
  return {
    osType: 'hvm',
    arch: capabilities.arch,
    wordSize: narrow.has(capabilities.arch) ? 32 : 64,
    emulator: capabilities.emulator,
    machines: machines.flatMap(({ name, alias, maxCpus, deprecated }) => [
      ...(alias === undefined ? [] : [{ name: alias, canonical: name, maxCpus, deprecated }]),
      { name, maxCpus, deprecated },
    ]),
    domainTypes: [...(tcg ? ['qemu'] : []), ...(kvm ? ['kvm'] : [])],
  };
}

export function hostCapabilitiesXml({ host, guests }: HostCapabilities): string {
  const { arch, model, topology } = host.cpu;
  const cpu: XmlNode[] = [
    ['arch', {}, arch],
    ...(model === '' ? [] : [['model', {}, model] as const]),
    ['topology', topology],
  ];
  const transports = host.migration.uriTransports.map((name) => ['uri_transport', {}, name] as const);
  return formatXml([
    'capabilities',
    {},
    [
      [
        'host',
        {},
        [
          ['uuid', {}, host.uuid],
          ['cpu', {}, cpu],
          [
            'migration_features',
            {},
            [
              ['live', {}],
              ['uri_transports', {}, transports],
            ],
          ],
          ['topology', {}, [['cells', { num: host.cells.length }, host.cells.map(cellNode)]]],
        ],
      ],
      ...guests.map(guestNode),
    ],
  ]);
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

function guestNode(guest: GuestSupport): XmlNode {
  const machines = guest.machines.map(
    ({ name, canonical, maxCpus, deprecated }) =>
      ['machine', { canonical, maxCpus, deprecated: deprecated ? 'yes' : undefined }, name] as const,
  );
  const domains = guest.domainTypes.map((type) => ['domain', { type }] as const);
  const x86: XmlNode[] = [
    ['acpi', { default: 'on', toggle: 'yes' }],
    ['apic', { default: 'on', toggle: 'no' }],
  ];
  return [
    'guest',
    {},
    [
      ['os_type', {}, guest.osType],
      [
        'arch',
        { name: guest.arch },
        [['wordsize', {}, guest.wordSize], ['emulator', {}, guest.emulator], ...machines, ...domains],
      ],
      [
        'features',
        {},
        [
          ...(['x86_64', 'i686'].includes(guest.arch) ? x86 : []),
          ['cpuselection', {}],
          ['deviceboot', {}],
          ['disksnapshot', { default: 'on', toggle: 'no' }],
        ],
      ],
    ],
  ];
}
