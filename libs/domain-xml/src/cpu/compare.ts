/** Whether a host can give a guest the CPU that a document asks for (libvirt: `virConnectCompareHypervisorCPU`). */
import type { Cpu } from '../elements/cpu';
import { listed, wantedCpu, without, type CpuKnowledge } from './features';

export interface CpuComparison {
  /** `superset`: the host has what is asked for, and more. */
  readonly result: 'incompatible' | 'identical' | 'superset';
  /** Features that are asked for and not there. */
  readonly missing: readonly string[];
  /** Features that are there and must not be. */
  readonly unwanted: readonly string[];
  /** Why a comparison of features does not matter, in words. */
  readonly reason?: string;
}

export function compareCpu(cpu: Cpu, known: CpuKnowledge): CpuComparison {
  const wanted = wantedCpu(cpu, known);
  const { host } = known;
  const missing = without(wanted.features, host.features);
  const surplus = without(host.features, wanted.features);
  // A strict match wants exactly this CPU, and features can be switched off only by name.
  const isStrict = cpu.match === 'strict';
  const unwanted = isStrict ? surplus : surplus.filter((feature) => wanted.forbidden.has(feature));
  const isOther = cpu.vendor !== undefined && host.vendor !== undefined && wanted.vendor !== host.vendor;
  const result =
    missing.length > 0 || unwanted.length > 0 || isOther
      ? 'incompatible'
      : surplus.length > 0
        ? 'superset'
        : 'identical';
  return {
    result,
    missing: listed(missing),
    unwanted: listed(unwanted),
    ...(isOther && { reason: `a CPU by ${wanted.vendor} is asked for, the host's is by ${host.vendor}` }),
  };
}
