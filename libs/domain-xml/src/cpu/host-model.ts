/** `host-model` at a start: the host's CPU by name, so that the running guest's document says what it really has. */
import { acceleratorFor, type QemuCapabilities } from '../capabilities';
import type { Domain } from '../elements/domain';
import { hostModelCpu } from './baseline';
import { cpuKnowledge } from './features';

/**
 * In place. Features that the document names itself come last and win. Where QEMU does not tell what its models are made of, the
 * mode stays, and the command line gives the guest all that the host has.
 */
export function translateHostModel(domain: Domain, capabilities: QemuCapabilities): void {
  const { cpu, type } = domain;
  const { models, hostCpu } = acceleratorFor(capabilities, type);
  if (cpu?.mode !== 'host-model' || !models || !hostCpu) return;
  const host = hostModelCpu(cpuKnowledge(capabilities, type));
  const own = new Set(cpu.features.map(({ name }) => name));
  Object.assign(cpu, {
    mode: host.mode,
    match: host.match,
    check: 'full',
    model: host.model,
    features: [...host.features.filter(({ name }) => !own.has(name)), ...cpu.features],
  });
}
