/** Machine features and the CPU. */
import { findMachine } from '../../capabilities';
import { lineOf } from '../../schema';
import { archOf, isArmVirt, isPseries, isQ35, isX86, machineOf } from '../machine';
import type { Rule } from './rule';

const machineFeatures: Rule = ({ domain, caps, faults }) => {
  const { features } = domain;
  const where = { element: 'features', line: lineOf(features) };
  const refuse = (detail: string): void => faults.add('CONFIG_UNSUPPORTED', detail, where);
  const foreign = (feature: string): void =>
    refuse(
      `The '${feature}' feature is not supported for architecture '${archOf(domain)}' or machine type '${machineOf(domain)}'`,
    );
  if (features.vmport?.state && features.ps2?.state === false)
    refuse('vmport feature requires the ps2 feature not to be disabled');
  if (features.ps2 && caps && !caps.flags.has('machine-i8042-opt'))
    refuse('ps2 feature state cannot be controlled with this QEMU binary');
  if (!isPseries(domain))
    for (const [name, value] of Object.entries({
      hpt: features.hpt,
      htm: features.htm,
      'nested-hv': features.nestedHv,
      'ccf-assist': features.ccfAssist,
      cfpc: features.cfpc,
      sbbc: features.sbbc,
      ibs: features.ibs,
    }))
      if (value) foreign(name);
  if (features.smm && !isX86(domain)) foreign('smm');
  if (features.gic && !isArmVirt(domain)) foreign('gic');
  if (features.smm?.tseg !== undefined && !isQ35(domain)) refuse('SMM TSEG is only supported with q35 machine type');
  const machine = caps && findMachine(caps, domain.type, machineOf(domain));
  if (features.acpi && machine?.acpi === false) refuse(`machine type '${machineOf(domain)}' does not support ACPI`);
};

const vcpus: Rule = ({ domain, caps, faults }) => {
  const { vcpu, cpu } = domain;
  const where = { element: 'vcpu', line: lineOf(vcpu) };
  if (vcpu.current !== undefined && vcpu.current > vcpu.count)
    faults.add('XML_ERROR', `maxvcpus must not be less than current vcpus (${vcpu.count} < ${vcpu.current})`, where);
  const most = caps && findMachine(caps, domain.type, machineOf(domain))?.maxCpus;
  if (most && vcpu.count > most)
    faults.add('CONFIG_UNSUPPORTED', `Maximum CPUs greater than specified machine type limit ${most}`, where);
  const { sockets, dies = 1, clusters = 1, cores, threads } = cpu?.topology ?? {};
  if (
    sockets !== undefined &&
    cores !== undefined &&
    threads !== undefined &&
    sockets * dies * clusters * cores * threads !== vcpu.count
  )
    faults.add('CONFIG_UNSUPPORTED', "CPU topology doesn't match maximum vcpu count", {
      element: 'topology',
      line: lineOf(cpu?.topology),
    });
};

const cpuModel: Rule = ({ domain: { cpu }, faults }) => {
  if (!cpu) return;
  const where = { element: 'cpu', line: lineOf(cpu) };
  const refuse = (detail: string): void => faults.add('CONFIG_UNSUPPORTED', detail, where);
  const { cache, maxphysaddr } = cpu;
  if (cache?.mode === 'emulate' && cache.level !== undefined && cache.level !== 3)
    refuse("CPU cache mode 'emulate' can only be used with level='3'");
  if (cache?.mode === 'passthrough' && cache.level !== undefined)
    refuse("unsupported CPU cache level for mode 'passthrough'");
  if (cache?.mode === 'passthrough' && cpu.mode !== 'host-passthrough' && cpu.mode !== 'maximum')
    refuse(`CPU cache mode 'passthrough' can only be used with 'host-passthrough' / 'maximum' CPUs`);
  if (maxphysaddr?.mode === 'passthrough' && maxphysaddr.bits !== undefined)
    refuse("CPU maximum physical address bits number specification cannot be used with mode='passthrough'");
  if (maxphysaddr?.mode === 'emulate' && maxphysaddr.limit !== undefined)
    refuse("CPU maximum physical address bits limit specification cannot be used with mode='emulate'");
  if (cpu.mode === 'host-passthrough' && cpu.model?.name !== undefined)
    refuse("CPU model cannot be given with mode='host-passthrough'");
};

const iommu: Rule = ({ domain, faults }) => {
  const device = domain.devices.iommu;
  if (!device) return;
  const where = { element: 'iommu', line: lineOf(device) };
  const refuse = (detail: string): void =>
    faults.add('CONFIG_UNSUPPORTED', `IOMMU device: '${device.model}' ${detail}`, where);
  if (device.model === 'intel' && !isQ35(domain)) refuse('is only supported with Q35 machines');
  if (device.model === 'smmuv3' && !isArmVirt(domain)) refuse('is only supported with ARM Virt machines');
  if (device.model !== 'virtio') return;
  if (!isQ35(domain) && !isArmVirt(domain)) refuse('is only supported with Q35 and ARM Virt machines');
  if (isQ35(domain) && !domain.features.acpi) refuse('requires ACPI');
  if (device.address && device.address.type !== 'pci') refuse('needs a PCI address');
  if (device.driver)
    faults.add('XML_ERROR', `iommu model '${device.model}' doesn't support additional attributes`, where);
};

export const machineRules: readonly Rule[] = [machineFeatures, vcpus, cpuModel, iommu];
