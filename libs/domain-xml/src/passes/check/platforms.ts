/** What single architectures and machines lack or insist on. */
import { allDevices } from '../../device';
import type { DeviceInfo } from '../../elements/device-info';
import { lineOf } from '../../schema';
import { archOf, isPseries, isS390Ccw, isX86, machineOf } from '../machine';
import type { Rule } from './rule';

const pcTimers = new Set(['tsc', 'kvmclock', 'hypervclock']);

const timers: Rule = ({ domain, faults }) => {
  if (isX86(domain)) return;
  for (const timer of domain.clock.timers)
    if (pcTimers.has(timer.name))
      faults.add(
        'CONFIG_UNSUPPORTED',
        `Configuring the '${timer.name}' timer is not supported for virtType=${domain.type} arch=${archOf(domain)} machine=${machineOf(domain)} guests`,
        { element: 'timer', line: lineOf(timer) },
      );
};

const parallels: Rule = ({ domain, faults }) => {
  const [parallel] = domain.devices.parallels;
  if (parallel && (isPseries(domain) || isS390Ccw(domain)))
    faults.add('CONFIG_UNSUPPORTED', 'parallel ports are not supported', { line: lineOf(parallel) });
};

/** pseries: bridges of the host are numbered apart from their buses. */
const hostBridges: Rule = ({ domain, faults }) => {
  if (!isPseries(domain)) return;
  for (const controller of domain.devices.controllers) {
    const target = controller.target?.index;
    if (controller.model !== 'pci-root' || target === undefined) continue;
    const where = { element: 'target', line: lineOf(controller.target) };
    if (target > 30)
      faults.add('CONFIG_UNSUPPORTED', `PCI controller target index '${target}' out of range - must be 0-30`, where);
    else if ((controller.index === 0) !== (target === 0))
      faults.add(
        'CONFIG_UNSUPPORTED',
        'Only the PCI controller with index 0 can have target index 0, and vice versa',
        where,
      );
  }
};

const largestRegister = 0xffffffff;

const registers: Rule = ({ domain, faults }) => {
  if (!isPseries(domain)) return;
  for (const { value } of allDevices(domain)) {
    const { address } = value as DeviceInfo;
    if (address?.type === 'spapr-vio' && (address.reg ?? 0) > largestRegister)
      faults.add(
        'CONFIG_UNSUPPORTED',
        `spapr-vio reg='0x${address.reg?.toString(16)}' exceeds maximum possible value (0xffffffff)`,
        { element: 'address', line: lineOf(address) },
      );
  }
};

/** Architectures whose firmware knows TPM 2.0 only. */
const modern = /^(aarch64|armv7l|loongarch64|riscv64)$/;

const tpms: Rule = ({ domain, faults }) => {
  const refuse = (detail: string, tpm: object | undefined): void =>
    faults.add('CONFIG_UNSUPPORTED', detail, { element: 'tpm', line: lineOf(tpm) });
  const old = domain.devices.tpms.find(({ backend }) => backend.version === '1.2');
  if (old && modern.test(archOf(domain))) refuse(`TPM 1.2 is not supported on architecture '${archOf(domain)}'`, old);
  const proxies = domain.devices.tpms.filter(({ model }) => model === 'spapr-tpm-proxy');
  if (proxies.length > 1) refuse('only a single TPM Proxy device is supported', proxies[1]);
};

const vectorLengths: Rule = ({ domain: { cpu }, faults }) => {
  const features = cpu?.features ?? [];
  const off = features.some(({ name, policy }) => name === 'sve' && policy === 'disable');
  const length = features.find(({ name, policy }) => /^sve\d+$/.test(name) && policy !== 'disable');
  if (off && length)
    faults.add('CONFIG_UNSUPPORTED', 'SVE disabled, but SVE vector lengths provided', {
      element: 'feature',
      line: lineOf(length),
    });
};

const panics: Rule = ({ domain, caps, faults }) => {
  const panic = domain.devices.panics.find(({ model }) => model === undefined);
  if (panic && caps)
    faults.add('CONFIG_UNSUPPORTED', 'no panic model provided, and no default for the architecture and machine type', {
      element: 'panic',
      line: lineOf(panic),
    });
};

/** pseries plugs whole cores. */
const coreByCore: Rule = ({ domain, faults }) => {
  const threads = domain.cpu?.topology?.threads ?? 1;
  const { count, current = count } = domain.vcpu;
  if (isPseries(domain) && (count % threads !== 0 || current % threads !== 0))
    faults.add('CONFIG_UNSUPPORTED', `vCPUs count must be a multiple of the vCPU hotplug granularity (${threads})`, {
      element: 'vcpu',
      line: lineOf(domain.vcpu),
    });
};

export const platformRules: readonly Rule[] = [
  timers,
  parallels,
  hostBridges,
  registers,
  tpms,
  vectorLengths,
  panics,
  coreByCore,
];
