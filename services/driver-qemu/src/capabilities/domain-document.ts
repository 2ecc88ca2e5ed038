/**
 * What a domain can ask of one binary (libvirt: `virsh domcapabilities`), for a domain type and machine. JSON form and XML.
 *
 * Says what QEMU offers; whether a host has the hardware behind it is found out at start.
 */
import {
  acceleratorFor,
  cpuFeatureName,
  cpuKnowledge,
  defaultMachine,
  findMachine,
  hostModelCpu,
  supportsDomainType,
  vendorName,
  type QemuCapabilities,
} from '@virtbus/domain-xml';
import { formatXml, type XmlNode } from '@virtbus/driver-runtime';
import { deviceChoices, featureOffers, memoryChoices, type Choices, type Offer } from './domain-choices';

/** Enum name → values on offer. */
export type Enums = Readonly<Record<string, readonly string[]>>;

export interface DomainCapabilities {
  readonly path: string;
  readonly domain: string;
  /** Canonical name. */
  readonly machine: string;
  readonly arch: string;
  readonly maxVcpus: number;
  /** Paths of firmware images for `<loader>`. */
  readonly loaders: readonly string[];
  readonly cpu: {
    readonly hostPassthrough: boolean;
    readonly maximum: boolean;
    /** The host's CPU by name; absent when QEMU does not tell what its models are made of. */
    readonly hostModel?: { model: string; features: readonly { name: string; policy: string }[] };
    readonly models: readonly {
      name: string;
      usable?: boolean;
      deprecated: boolean;
      vendor?: string;
      blockers: readonly string[];
    }[];
  };
  readonly memoryBacking: Enums;
  /** A device whose first enum offers nothing is not supported. */
  readonly devices: Readonly<Record<string, { supported: boolean; enums: Enums }>>;
  readonly features: Readonly<Record<string, boolean>>;
  /** Absent when QEMU cannot say. */
  readonly hyperv?: readonly string[];
}

export interface DomainCapabilitiesRequest {
  /** `qemu` or `kvm`. */
  domainType: string;
  /** Name or alias; default: the binary's default machine. */
  machine?: string;
  /** UEFI images found on the host. */
  loaders?: readonly string[];
}

/** Undefined when the binary has no such domain type or machine. */
export function domainCapabilities(
  caps: QemuCapabilities,
  { domainType, machine: wanted, loaders = [] }: DomainCapabilitiesRequest,
): DomainCapabilities | undefined {
  if (!supportsDomainType(caps, domainType)) return undefined;
  const machine = wanted === undefined ? defaultMachine(caps, domainType) : findMachine(caps, domainType, wanted);
  if (!machine) return undefined;
  const { cpus, models } = acceleratorFor(caps, domainType);
  return {
    path: caps.emulator,
    domain: domainType,
    machine: machine.name,
    arch: caps.arch,
    maxVcpus: machine.maxCpus,
    loaders,
    cpu: {
      hostPassthrough: domainType === 'kvm',
      maximum: caps.flags.has('cpu-max'),
      ...hostModelOf(caps, domainType),
      models: cpus
        .filter(({ name }) => name !== 'host' && name !== 'max')
        .map(({ name, usable, deprecated, blockers }) => {
          const vendor = models?.[name]?.vendor;
          return {
            name,
            ...(usable !== undefined && { usable }),
            deprecated,
            ...(vendor !== undefined && { vendor: vendorName(vendor) }),
            blockers: blockers.map(cpuFeatureName),
          };
        }),
    },
    memoryBacking: enumsOf(caps, memoryChoices),
    devices: Object.fromEntries(
      Object.entries(deviceChoices).map(([device, choices]) => {
        const enums = enumsOf(caps, choices);
        return [device, { supported: Object.values(enums)[0]!.length > 0, enums }];
      }),
    ),
    features: Object.fromEntries(Object.entries(featureOffers).map(([name, offer]) => [name, offers(caps, offer)])),
    ...(domainType === 'kvm' && caps.hypervFeatures && { hyperv: caps.hypervFeatures }),
  };
}

function hostModelOf(caps: QemuCapabilities, domainType: string): Pick<DomainCapabilities['cpu'], 'hostModel'> {
  const { models, hostCpu } = acceleratorFor(caps, domainType);
  if (!models || !hostCpu) return {};
  const { model, features } = hostModelCpu(cpuKnowledge(caps, domainType));
  return {
    hostModel: {
      model: model?.name ?? '',
      features: features.map(({ name, policy = 'require' }) => ({ name, policy })),
    },
  };
}

function enumsOf(caps: QemuCapabilities, choices: Readonly<Record<string, Choices>>): Enums {
  const values = (choice: Choices): string[] =>
    Object.entries(choice).flatMap(([value, offer]) => (offers(caps, offer) ? [value] : []));
  return Object.fromEntries(Object.entries(choices).map(([name, choice]) => [name, values(choice)]));
}

function offers(caps: QemuCapabilities, offer: Offer): boolean {
  if (offer === true) return true;
  return typeof offer === 'string' ? caps.flags.has(offer) : offer.some((flag) => caps.flags.has(flag));
}

const yesNo = (is: boolean): 'yes' | 'no' => (is ? 'yes' : 'no');
const supported = (is: boolean): { supported: 'yes' | 'no' } => ({ supported: yesNo(is) });

export function domainCapabilitiesXml(capabilities: DomainCapabilities): string {
  const { cpu, devices, features, hyperv } = capabilities;
  return formatXml([
    'domainCapabilities',
    {},
    [
      ['path', {}, capabilities.path],
      ['domain', {}, capabilities.domain],
      ['machine', {}, capabilities.machine],
      ['arch', {}, capabilities.arch],
      ['vcpu', { max: capabilities.maxVcpus }],
      ['iothreads', supported(true)],
      ['os', supported(true), osNodes(capabilities.loaders)],
      ['cpu', {}, cpuNodes(cpu)],
      ['memoryBacking', supported(true), enumNodes(capabilities.memoryBacking)],
      [
        'devices',
        {},
        Object.entries(devices).map(
          ([name, device]) =>
            [name, supported(device.supported), device.supported ? enumNodes(device.enums) : []] as const,
        ),
      ],
      [
        'features',
        {},
        [
          ['gic', supported(false)],
          ...Object.entries(features).map(([name, is]) => [name, supported(is)] as const),
          ['sev', supported(false)],
          ['sgx', supported(false)],
          ...(hyperv ? [['hyperv', supported(true), enumNodes({ features: hyperv })] as const] : []),
        ],
      ],
    ],
  ]);
}

function enumNodes(enums: Enums): XmlNode[] {
  return Object.entries(enums).map(([name, values]) => [
    'enum',
    { name },
    values.map((value) => ['value', {}, value] as const),
  ]);
}

function hostModelNodes({ hostModel }: DomainCapabilities['cpu']): XmlNode[] {
  if (!hostModel) return [];
  return [
    ['model', { fallback: 'forbid' }, hostModel.model],
    ...hostModel.features.map(({ name, policy }) => ['feature', { policy, name }] as const),
  ];
}

function osNodes(loaders: readonly string[]): XmlNode[] {
  const enums = { type: ['rom', 'pflash'], readonly: ['yes', 'no'], secure: ['no'] };
  return [
    ['enum', { name: 'firmware' }, loaders.length > 0 ? [['value', {}, 'efi']] : []],
    ['loader', supported(true), [...loaders.map((path) => ['value', {}, path] as const), ...enumNodes(enums)]],
  ];
}

function cpuNodes(cpu: DomainCapabilities['cpu']): XmlNode[] {
  const usability = (usable: boolean | undefined): string => (usable === undefined ? 'unknown' : yesNo(usable));
  const models = cpu.models.flatMap(({ name, usable, deprecated, vendor = 'unknown', blockers }): XmlNode[] => [
    ['model', { usable: usability(usable), deprecated: deprecated ? 'yes' : undefined, vendor }, name],
    ...(blockers.length === 0
      ? []
      : [['blockers', { model: name }, blockers.map((feature) => ['feature', { name: feature }] as const)] as const]),
  ]);
  const mode = (name: string, is: boolean, choice: string): XmlNode => [
    'mode',
    { name, ...supported(is) },
    is ? enumNodes({ [choice]: ['on', 'off'] }) : [],
  ];
  return [
    mode('host-passthrough', cpu.hostPassthrough, 'hostPassthroughMigratable'),
    mode('maximum', cpu.maximum, 'maximumMigratable'),
    ['mode', { name: 'host-model', ...supported(cpu.hostModel !== undefined) }, hostModelNodes(cpu)],
    ['mode', { name: 'custom', ...supported(models.length > 0) }, models],
  ];
}
