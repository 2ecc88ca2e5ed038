/**
 * What one QEMU binary can do, as data.
 *
 * The flag strings, machine and CPU facts are those of libvirt's capability cache, so a recorded `<qemuCaps>` document and
 * a live QMP probe fill the same value. Passes and the command line only ever look at this value, never at a binary.
 */
import { VirtError } from '@virtbus/shared';
import { readXml, type XmlElement } from './xml/reader';

export type Accelerator = 'kvm' | 'tcg' | 'hvf';

/** One `-machine` of the binary. */
export interface MachineType {
  /** Versioned name, e.g. `pc-q35-7.2`. */
  readonly name: string;
  /** Moving name that stands for it, e.g. `q35`. */
  readonly alias?: string;
  readonly maxCpus: number;
  /** QOM type name of the CPU used when none is asked for, e.g. `qemu64-x86_64-cpu`. */
  readonly defaultCpu?: string;
  /** Id of the machine's own RAM backend, e.g. `pc.ram`; absent when the machine takes none. */
  readonly defaultRamId?: string;
  readonly hotplugCpus: boolean;
  /** True when plain `-numa node,mem=` still works. */
  readonly numaMemSupported: boolean;
  readonly isDefault: boolean;
  readonly deprecated: boolean;
  /** Absent when the binary does not say. */
  readonly acpi?: boolean;
}

/** One CPU model name of the binary. */
export interface CpuModel {
  readonly name: string;
  readonly typename?: string;
  /** Absent when the binary does not say. */
  readonly usable?: boolean;
  /** Properties that keep the model from being used on this host. */
  readonly blockers: readonly string[];
  readonly deprecated: boolean;
}

/** `query-cpu-model-expansion` of the host model. */
export interface HostCpu {
  readonly model: string;
  readonly migratability: boolean;
  readonly properties: readonly {
    readonly name: string;
    readonly value: string | number | boolean;
    readonly migratable?: boolean;
  }[];
}

/** `query-cpu-model-expansion` of a named model. */
export interface CpuExpansion {
  /** As CPUID tells it, e.g. `AuthenticAMD`. */
  readonly vendor?: string;
  /** QEMU's names of the features that are on. */
  readonly features: readonly string[];
}

/** What is known for one accelerator. */
export interface AcceleratorCapabilities {
  readonly machines: readonly MachineType[];
  readonly cpus: readonly CpuModel[];
  readonly hostCpu?: HostCpu;
  /** What each named model is made of; absent when the binary does not tell. */
  readonly models?: Readonly<Record<string, CpuExpansion>>;
}

export interface QemuCapabilities {
  /** Path of the binary. */
  readonly emulator: string;
  /** major * 1 000 000 + minor * 1000 + micro: 7.2.22 is 7002022. */
  readonly version: number;
  /** Distribution's package string as QEMU reports it; may be empty. */
  readonly package: string;
  /** libvirt's name of the guest architecture, e.g. `x86_64`. */
  readonly arch: string;
  /** libvirt's capability flag names, e.g. `virtio-scsi-pci`. */
  readonly flags: ReadonlySet<string>;
  /** Keyed by accelerator; absent when it cannot be used. */
  readonly accelerators: Readonly<Partial<Record<Accelerator, AcceleratorCapabilities>>>;
  /** Hyper-V enlightenments that can be switched on, e.g. `relaxed`. */
  readonly hypervFeatures?: readonly string[];
  /** GIC versions on offer (arm). */
  readonly gicVersions?: readonly string[];
}

/** The domain type that each accelerator serves. */
const acceleratorOf: Readonly<Record<string, Accelerator>> = { kvm: 'kvm', qemu: 'tcg', hvf: 'hvf' };

/** Whether a domain of this `type` can run on the binary. */
export function supportsDomainType(caps: QemuCapabilities, domainType: string): boolean {
  const accelerator = acceleratorOf[domainType];
  return accelerator !== undefined && caps.accelerators[accelerator] !== undefined;
}

/** What the binary offers to a domain of this type; empty when it cannot run it. */
export function acceleratorFor(caps: QemuCapabilities, domainType: string): AcceleratorCapabilities {
  const accelerator = acceleratorOf[domainType];
  return (accelerator && caps.accelerators[accelerator]) ?? { machines: [], cpus: [] };
}

/** The machine type with this name or alias. */
export function findMachine(caps: QemuCapabilities, domainType: string, name: string): MachineType | undefined {
  const { machines } = acceleratorFor(caps, domainType);
  return machines.find((machine) => machine.name === name) ?? machines.find((machine) => machine.alias === name);
}

/** The machine type that is used when the document names none. */
export function defaultMachine(caps: QemuCapabilities, domainType: string): MachineType | undefined {
  const { machines } = acceleratorFor(caps, domainType);
  return machines.find((machine) => machine.isDefault) ?? machines[0];
}

/** A copy with flags added and taken away. */
export function withFlags(
  caps: QemuCapabilities,
  add: Iterable<string>,
  remove: Iterable<string> = [],
): QemuCapabilities {
  const flags = new Set([...caps.flags, ...add]);
  for (const flag of remove) flags.delete(flag);
  return { ...caps, flags };
}

/** A copy in which `pc`, `q35` and their like stand for no versioned machine type: a document keeps them as written. */
export function withoutMachineAliases(caps: QemuCapabilities): QemuCapabilities {
  const strip = (one: AcceleratorCapabilities): AcceleratorCapabilities => ({
    ...one,
    machines: one.machines.flatMap(({ alias, ...machine }) =>
      alias === undefined
        ? [machine]
        : [
            { ...machine, name: alias },
            { ...machine, isDefault: false },
          ],
    ),
  });
  const accelerators = Object.fromEntries(
    Object.entries(caps.accelerators).map(([name, one]) => [name, strip(one)] as const),
  );
  return { ...caps, accelerators };
}

/** Reads a `<qemuCaps>` document, libvirt's cache of a probed binary. Throws XML_DETAIL or XML_ERROR. */
export function capabilitiesFromXml(xml: string): QemuCapabilities {
  const root = readXml(xml);
  if (root.name !== 'qemuCaps')
    throw new VirtError('XML_ERROR', { detail: `expected <qemuCaps>, found <${root.name}>`, line: root.line });
  const named = (name: string): XmlElement[] => root.children.filter((child) => child.name === name);
  const text = (name: string): string => named(name)[0]?.text.trim() ?? '';
  const names = (name: string): string[] => named(name).map((child) => child.attributes['name'] ?? '');
  const accelerators: Partial<Record<Accelerator, AcceleratorCapabilities>> = {};
  for (const accelerator of ['kvm', 'tcg', 'hvf'] as const) {
    const of = (name: string): XmlElement[] => named(name).filter((child) => child.attributes['type'] === accelerator);
    const machines = of('machine').map(readMachine);
    if (machines.length === 0) continue;
    const host = of('hostCPU')[0];
    accelerators[accelerator] = { machines, cpus: of('cpu').map(readCpu), ...(host && { hostCpu: readHostCpu(host) }) };
  }
  const hyperv = named('hypervCapabilities')[0];
  const gic = named('gic').map((child) => child.attributes['version'] ?? '');
  return {
    emulator: text('emulator'),
    version: Number(text('version')),
    package: text('package'),
    arch: text('arch'),
    flags: new Set(names('flag')),
    accelerators,
    ...(hyperv && { hypervFeatures: hyperv.children.map((child) => child.attributes['name'] ?? '') }),
    ...(gic.length > 0 && { gicVersions: gic }),
  };
}

function readMachine({ attributes }: XmlElement): MachineType {
  return {
    name: attributes['name'] ?? '',
    ...(attributes['alias'] !== undefined && { alias: attributes['alias'] }),
    maxCpus: Number(attributes['maxCpus'] ?? 0),
    ...(attributes['defaultCPU'] !== undefined && { defaultCpu: attributes['defaultCPU'] }),
    ...(attributes['defaultRAMid'] !== undefined && { defaultRamId: attributes['defaultRAMid'] }),
    hotplugCpus: attributes['hotplugCpus'] === 'yes',
    numaMemSupported: attributes['numaMemSupported'] === 'yes',
    isDefault: attributes['default'] === 'yes',
    deprecated: attributes['deprecated'] === 'yes',
    ...(attributes['acpi'] !== undefined && { acpi: attributes['acpi'] === 'yes' }),
  };
}

function readCpu({ attributes, children }: XmlElement): CpuModel {
  return {
    name: attributes['name'] ?? '',
    ...(attributes['typename'] !== undefined && { typename: attributes['typename'] }),
    ...(attributes['usable'] !== undefined && { usable: attributes['usable'] === 'yes' }),
    blockers: children.map((child) => child.attributes['name'] ?? ''),
    deprecated: attributes['deprecated'] === 'yes',
  };
}

function readHostCpu({ attributes, children }: XmlElement): HostCpu {
  return {
    model: attributes['model'] ?? '',
    migratability: attributes['migratability'] === 'yes',
    properties: children.map((child) => {
      const { name = '', type, value = '', migratable } = child.attributes;
      return {
        name,
        value: type === 'boolean' ? value === 'true' : type === 'number' ? Number(value) : value,
        ...(migratable !== undefined && { migratable: migratable === 'yes' }),
      };
    }),
  };
}
