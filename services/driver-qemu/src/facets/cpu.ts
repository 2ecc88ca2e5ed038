/** CPUs of documents against those that guests can have on this host, by QEMU's own model data. */
import { baselineCpu, compareCpu, cpuKnowledge, type CpuKnowledge } from '@virtbus/domain-xml';
import type { Driver, Facets } from '@virtbus/driver-runtime';
import type { QemuCapabilities } from '@virtbus/domain-xml';

type Ask = Parameters<Driver['domainCapabilities']>[0];

/** @param choose the binary, and the best domain type it runs when none is asked for */
export const cpuFacet = (
  choose: (ask: Ask) => { capabilities: QemuCapabilities; domainType: string },
): NonNullable<Facets['cpu']> => {
  const known = (ask: Ask): CpuKnowledge => {
    const { capabilities, domainType } = choose(ask);
    return cpuKnowledge(capabilities, domainType);
  };
  return {
    compare: (cpu, ask) => {
      const { missing, unwanted, ...answer } = compareCpu(cpu, known(ask));
      return { ...answer, missing: [...missing], unwanted: [...unwanted] };
    },
    baseline: (cpus, how, ask) => baselineCpu(cpus, known(ask), how),
  };
};
