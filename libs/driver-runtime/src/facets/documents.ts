/** Documents that are worked on without a guest: other formats, what becomes of a definition, CPUs. */
import type { Cpu, Domain } from '@virtbus/domain-xml';
import type { compareCpu, explainDomain, Response } from '@virtbus/shared';

/** Which hypervisor is asked about; the host's best where it is left out. */
export interface HypervisorChoice {
  virtType?: string | undefined;
  arch?: string | undefined;
  machine?: string | undefined;
  emulator?: string | undefined;
}

/** Domain documents from and to what the hypervisor's own users write. Nothing is started or kept. */
export interface NativeFacet {
  /** Names of the formats, as `virsh domxml-from-native` takes them: `qemu-argv`, `lxc-tools`. */
  readonly formats: readonly string[];
  /** Throws `CONFIG_UNSUPPORTED` for what this host could not start. */
  toNative(format: string, domain: Domain): Promise<string> | string;
  /** What the document cannot say is told by a warning each; throws `CONFIG_UNSUPPORTED` where nothing can be made of it. */
  fromNative(format: string, text: string): { domain: Domain; warnings: string[] };
}

/** Every pass that a definition goes through here, told by what it changed. */
export interface ExplainFacet {
  explain(xml: string): Response<typeof explainDomain>;
}

/** CPUs of documents against what guests can have here. `ask` chooses the hypervisor as for domain capabilities. */
export interface CpuFacet {
  compare(cpu: Cpu, ask: HypervisorChoice): Response<typeof compareCpu>;
  baseline(
    cpus: readonly Cpu[],
    how: { features: boolean; migratable: boolean; onHost: boolean },
    ask: HypervisorChoice,
  ): Cpu;
}
