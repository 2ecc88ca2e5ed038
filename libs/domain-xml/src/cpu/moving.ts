/**
 * Whether a guest that moves finds its CPU again. What counts is what it was given where it started, not what its document asks
 * for: QEMU leaves out in silence what a host cannot give.
 */
import { acceleratorFor, type QemuCapabilities } from '../capabilities';
import type { Cpu } from '../elements/cpu';
import type { Domain } from '../elements/domain';
import { qemuName } from './feature-names';
import { cpuKnowledge, listed, wantedCpu } from './features';

/** What a running guest has of its host's CPU, in QEMU's words. */
export interface GivenCpu {
  readonly features: string[];
  /** Of the host, where the guest sees it. */
  readonly vendor?: string | undefined;
}

/** Undefined where QEMU does not tell. */
export function givenCpu({ cpu, type }: Domain, capabilities: QemuCapabilities): GivenCpu | undefined {
  const { models, hostCpu } = acceleratorFor(capabilities, type);
  if (!cpu || !models || !hostCpu) return undefined;
  const name = namedModel(cpu);
  if (name !== undefined && !Object.hasOwn(models, name)) return undefined;
  const known = cpuKnowledge(capabilities, type);
  const given = isTheHosts(cpu) && cpu.migratable !== false ? known.migratable : known.host.features;
  const { features, vendor } = wantedCpu(cpu, known);
  return {
    features: [...features].filter((one) => given.has(one)).sort(),
    ...(isTheHosts(cpu) && vendor !== undefined && { vendor }),
  };
}

/** Why a guest would not find its CPU on a host of these capabilities, in words; undefined where it does, or nothing is known. */
export function cpuLoss(
  { cpu, type }: Domain,
  given: GivenCpu | undefined,
  capabilities: QemuCapabilities,
): string | undefined {
  const { cpus, hostCpu } = acceleratorFor(capabilities, type);
  if (!cpu || !hostCpu) return undefined;
  const model = namedModel(cpu);
  if (model !== undefined && !cpus.some(({ name }) => name === model))
    return `its QEMU does not know the CPU model '${model}'`;
  const here = new Map(hostCpu.properties.map(({ name, value }) => [name, value]));
  const vendor = here.get('vendor');
  if (given?.vendor !== undefined && typeof vendor === 'string' && vendor !== given.vendor)
    return `the guest has the CPU of its host, by ${given.vendor}, and here it is by ${vendor}`;
  const asked = new Set(cpu.features.map(({ name }) => qemuName(name)));
  // What a QEMU has never heard of is no feature of the models that it shares with another, but it cannot be asked for.
  const missing = (given?.features ?? []).filter(
    (one) => here.get(one) === false || (asked.has(one) && !here.has(one)),
  );
  return missing.length > 0
    ? `it cannot give the features that the guest has: ${listed(missing).join(', ')}`
    : undefined;
}

const isTheHosts = ({ mode }: Cpu): boolean => mode === 'host-passthrough' || mode === 'maximum';

const namedModel = ({ mode = 'custom', model }: Cpu): string | undefined =>
  mode === 'custom' ? model?.name : undefined;
