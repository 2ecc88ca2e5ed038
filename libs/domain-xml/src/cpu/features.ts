/**
 * CPUs as sets of features, by QEMU's own data of its models. A model is what `query-cpu-model-expansion` says it is made of; the
 * host is what QEMU can show a guest there.
 */
import { VirtError } from '@virtbus/shared';
import { acceleratorFor, type QemuCapabilities } from '../capabilities';
import type { Cpu } from '../elements/cpu';
import { documentName, qemuName } from './feature-names';

export interface CpuKnowledge {
  /** What a named model has. */
  readonly models: ReadonlyMap<string, NamedModel>;
  readonly host: FeatureSet;
  /** Features of the host that a guest keeps when it moves to an equal one. */
  readonly migratable: ReadonlySet<string>;
}

export interface NamedModel {
  readonly name: string;
  readonly vendor: string | undefined;
  readonly features: ReadonlySet<string>;
}

/** One CPU, whatever it is called. */
export interface FeatureSet {
  readonly vendor: string | undefined;
  readonly features: ReadonlySet<string>;
}

/** Throws OPERATION_UNSUPPORTED for a QEMU that does not tell what its models are made of (other targets than x86 and s390). */
export function cpuKnowledge(capabilities: QemuCapabilities, domainType: string): CpuKnowledge {
  const { models, hostCpu } = acceleratorFor(capabilities, domainType);
  if (models === undefined || hostCpu === undefined)
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `${capabilities.emulator} does not tell what CPU models for ${capabilities.arch} are made of`,
    });
  const on = hostCpu.properties.filter(({ value }) => value === true);
  const vendor = hostCpu.properties.find(({ name }) => name === 'vendor')?.value;
  return {
    models: new Map(
      Object.entries(models).map(([name, model]) => [
        name,
        { name, vendor: model.vendor, features: new Set(model.features) },
      ]),
    ),
    host: { vendor: typeof vendor === 'string' ? vendor : undefined, features: new Set(on.map(({ name }) => name)) },
    migratable: new Set(on.filter(({ migratable }) => migratable !== false).map(({ name }) => name)),
  };
}

/** What a document's CPU asks for. */
export interface WantedCpu extends FeatureSet {
  /** It must not have these. */
  readonly forbidden: ReadonlySet<string>;
}

/** libvirt's short names of vendors, and what CPUID says. */
const vendors: Readonly<Record<string, string>> = { Intel: 'GenuineIntel', AMD: 'AuthenticAMD', Hygon: 'HygonGenuine' };

/** Throws CONFIG_UNSUPPORTED for a model that this QEMU does not know. */
export function wantedCpu(cpu: Cpu, known: CpuKnowledge): WantedCpu {
  const base = baseOf(cpu, known);
  const features = new Set(base.features);
  const forbidden = new Set<string>();
  for (const { name, policy } of cpu.features) {
    const feature = qemuName(name);
    if (feature === undefined || policy === 'optional') continue;
    if (policy === 'disable' || policy === 'forbid') features.delete(feature);
    else features.add(feature);
    if (policy === 'forbid') forbidden.add(feature);
  }
  return { vendor: cpu.vendor === undefined ? base.vendor : (vendors[cpu.vendor] ?? cpu.vendor), features, forbidden };
}

function baseOf({ mode, model }: Cpu, known: CpuKnowledge): FeatureSet {
  if (mode === 'host-model' || mode === 'host-passthrough' || mode === 'maximum') return known.host;
  const name = model?.name;
  if (name === undefined) return { vendor: undefined, features: new Set() };
  const found = known.models.get(name);
  if (found) return found;
  throw new VirtError('CONFIG_UNSUPPORTED', {
    detail: `unknown CPU model '${name}'; 'virtbus domcapabilities' lists those that this host's QEMU knows`,
    element: 'model',
  });
}

/** A vendor as documents call it. */
export const vendorName = (cpuid: string): string =>
  Object.keys(vendors).find((name) => vendors[name] === cpuid) ?? cpuid;

/** In the words and the order of documents. */
export const listed = (features: Iterable<string>): string[] => [...features].map(documentName).sort();

export const without = (all: ReadonlySet<string>, some: ReadonlySet<string>): string[] =>
  [...all].filter((one) => !some.has(one));
