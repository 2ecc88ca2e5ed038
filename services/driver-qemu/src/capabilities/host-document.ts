/**
 * The host's capabilities (libvirt: `virsh capabilities`): what it is made of and which guests it can run. JSON form and
 * XML; the XML is written from the JSON form.
 */
import { type QemuCapabilities } from '@virtbus/domain-xml';
import {
  formatXml,
  hostDocument,
  hostNode,
  type HostDocument,
  type HostInfo,
  type XmlNode,
} from '@virtbus/driver-runtime';

export interface GuestSupport {
  readonly osType: 'hvm';
  readonly arch: string;
  readonly wordSize: 32 | 64;
  readonly emulator: string;
  /** An alias (`q35`) says which machine it stands for. */
  readonly machines: readonly { name: string; canonical?: string; maxCpus: number; deprecated: boolean }[];
  /** Domain types: `qemu`, `kvm`. */
  readonly domainTypes: readonly string[];
  /** What this QEMU can do that shows in the images it leaves behind, by libvirt's names; `<flag name=…>` among the features. */
  readonly flags: readonly string[];
}

/** Flags that operators ask for. libvirt tells them nowhere but in its own cache, in the same words. */
const toldFlags = ['blockjob.backing-mask-protocol'] as const;

export interface HostCapabilities {
  readonly host: HostDocument & {
    readonly migration: { readonly live: true; readonly uriTransports: readonly string[] };
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
    host: { ...hostDocument(host), migration: { live: true, uriTransports: ['tcp'] } },
    guests: emulators.map(guestSupport),
  };
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
    flags: toldFlags.filter((flag) => capabilities.flags.has(flag)),
  };
}

export function hostCapabilitiesXml({ host, guests }: HostCapabilities): string {
  const transports = host.migration.uriTransports.map((name) => ['uri_transport', {}, name] as const);
  const migration: XmlNode = [
    'migration_features',
    {},
    [
      ['live', {}],
      ['uri_transports', {}, transports],
    ],
  ];
  return formatXml(['capabilities', {}, [hostNode(host, [migration]), ...guests.map(guestNode)]]);
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
          ...guest.flags.map((name) => ['flag', { name }] as const),
        ],
      ],
    ],
  ];
}
