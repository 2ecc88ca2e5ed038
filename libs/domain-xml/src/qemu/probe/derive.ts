/**
 * Turns one probing conversation (two, when KVM works) into the `QemuCapabilities` of a binary.
 */
import type {
  AcceleratorCapabilities,
  CpuExpansion,
  CpuModel,
  HostCpu,
  MachineType,
  QemuCapabilities,
} from '../../capabilities';
import { ask, askFor, type CpuDefinition, type QmpCpuModel, type QmpMachine, type QmpPeer } from './answers';
import { gatherFacts } from './facts';
import { deriveFlags } from './flags';
import { hypervFeaturesOf } from './hyperv';

/** QEMU's names of targets that libvirt calls otherwise. */
const libvirtArch: Readonly<Record<string, string>> = { i386: 'i686', arm: 'armv7l', or1k: 'or32' };

/**
 * @param peer a QEMU started with `-machine none,accel=kvm:tcg`.
 * @param tcgPeer gives one started with `accel=tcg`; asked for only if the first runs with KVM.
 */
export async function deriveCapabilities(
  emulator: string,
  peer: QmpPeer,
  tcgPeer: () => Promise<QmpPeer>,
): Promise<QemuCapabilities> {
  const facts = await gatherFacts(peer);
  const first = await describeAccelerator(peer, facts.kvm ? 'host' : 'max');
  const flags = deriveFlags(facts);
  const hypervFeatures = facts.kvm ? await hypervFeaturesOf(peer) : undefined;
  const accelerators: QemuCapabilities['accelerators'] = !facts.kvm
    ? { tcg: first }
    : { kvm: first, ...(flags.has('tcg') && { tcg: await describeAccelerator(await tcgPeer(), 'max') }) };
  return {
    emulator,
    version: facts.version,
    package: facts.package,
    arch: libvirtArch[facts.arch] ?? facts.arch,
    flags,
    accelerators,
    ...(hypervFeatures && { hypervFeatures }),
  };
}

async function describeAccelerator(peer: QmpPeer, hostModel: string): Promise<AcceleratorCapabilities> {
  // "none" has no processor and no memory: it serves probing, not guests.
  const machines = (await ask(peer, 'query-machines')).filter(({ name }) => name !== 'none').map(machineType);
  const cpus = (await ask(peer, 'query-cpu-definitions')).map(cpuModel);
  const hostCpu = await expandHostCpu(peer, hostModel);
  const models = await expandModels(peer, cpus);
  return { machines, cpus, ...(hostCpu && { hostCpu }), ...(models && { models }) };
}

/** Names that stand for no model of their own. */
const notModels = new Set(['host', 'max', 'base']);

/** What each named model is made of. Only x86 and s390 tell; there it takes about 0.1 s for all. */
async function expandModels(
  peer: QmpPeer,
  cpus: readonly CpuModel[],
): Promise<Record<string, CpuExpansion> | undefined> {
  const models: Record<string, CpuExpansion> = {};
  for (const { name } of cpus) {
    if (notModels.has(name)) continue;
    const answer = await askFor(peer, 'query-cpu-model-expansion', { type: 'static', model: { name } });
    if (!answer) return undefined;
    const { props = {} } = answer.model;
    const { vendor } = props;
    const features = Object.keys(props).filter((property) => props[property] === true);
    models[name] = { ...(typeof vendor === 'string' && { vendor }), features: features.sort() };
  }
  return models;
}

function machineType(machine: QmpMachine): MachineType {
  return {
    name: machine.name,
    ...(machine.alias !== undefined && { alias: machine.alias }),
    maxCpus: machine['cpu-max'],
    ...(machine['default-cpu-type'] !== undefined && { defaultCpu: machine['default-cpu-type'] }),
    ...(machine['default-ram-id'] !== undefined && { defaultRamId: machine['default-ram-id'] }),
    hotplugCpus: machine['hotpluggable-cpus'],
    numaMemSupported: machine['numa-mem-supported'],
    isDefault: machine['is-default'] === true,
    deprecated: machine.deprecated,
    ...(machine.acpi !== undefined && { acpi: machine.acpi }),
  };
}

/** A model that is not usable on this host lists what blocks it; `type` blocks nothing by itself. */
function cpuModel(definition: CpuDefinition): CpuModel {
  const blockers = definition['unavailable-features'];
  return {
    name: definition.name,
    typename: definition.typename,
    ...(blockers && { usable: blockers.length === 0 }),
    blockers: blockers ?? [],
    deprecated: definition.deprecated === true,
  };
}

/**
 * The host's CPU as QEMU sees it: everything it could show to a guest, each boolean marked with whether it survives a
 * migration (that is, whether it stays on when only migratable features are asked for).
 */
async function expandHostCpu(peer: QmpPeer, name: string): Promise<HostCpu | undefined> {
  const expand = (model: QmpCpuModel): Promise<{ model: QmpCpuModel } | undefined> =>
    askFor(peer, 'query-cpu-model-expansion', { type: 'static', model });
  const migratable = await expand({ name });
  const all = await expand({ name, props: { migratable: false } });
  if (!migratable) return undefined;
  const { name: model, props } = (all ?? migratable).model;
  const kept = migratable.model.props ?? {};
  const properties = Object.entries(props ?? {}).flatMap(([property, value]) => {
    if (typeof value !== 'boolean' && typeof value !== 'number' && typeof value !== 'string') return [];
    return [{ name: property, value, ...(all && value === true && { migratable: kept[property] === true }) }];
  });
  return { model, migratability: all !== undefined, properties };
}
