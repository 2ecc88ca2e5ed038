/** `-cpu`: the model, its features, and what hypervisors offer to their guests. */
import { acceleratorFor } from '../capabilities';
import type { Cpu } from '../elements/cpu';
import type { Domain } from '../elements/domain';
import type { Features } from '../elements/features';
import { isS390Ccw, isX86 } from '../passes/machine';
import { timerOf } from './clock';
import type { Guest } from './context';
import { escapeWord, onOrOff } from './props';
import type { CommandWords } from './words';

export function addCpu(out: CommandWords, guest: Guest): void {
  const { cpu, features } = guest.domain;
  const parts = [
    ...(cpu ? modelParts(guest, cpu) : []),
    ...timerParts(guest),
    ...featureParts(guest),
    ...hypervParts(features),
    ...crashParts(guest),
    ...kvmParts(features),
    ...(cpu ? physicalParts(cpu) : []),
    ...(cpu ? cacheParts(cpu) : []),
  ];
  if (!cpu?.model?.name && (cpu?.mode ?? 'custom') === 'custom') {
    if (parts.length === 0) return;
    parts.unshift(defaultModel(guest));
  }
  out.add('-cpu', parts.join(','));
}

/** A model must be named before options can be; the one that QEMU itself would take. */
const defaultModel = ({ domain }: Guest): string => (domain.os.type?.arch === 'i686' ? 'qemu32' : 'qemu64');

function modelParts(guest: Guest, cpu: Cpu): string[] {
  switch (cpu.mode) {
    case 'host-passthrough':
      return ['host', ...narrow(guest.domain), ...migratable(cpu), ...customFeatures(guest, cpu)];
    case 'maximum':
      return ['max', ...migratable(cpu), ...customFeatures(guest, cpu)];
    case 'host-model':
      return [...hostModel(guest), ...customFeatures(guest, cpu)];
    default: {
      const { name, vendor_id: vendor } = cpu.model ?? {};
      if (name === undefined) return [];
      return [name, ...(vendor === undefined ? [] : [`vendor=${escapeWord(vendor)}`]), ...customFeatures(guest, cpu)];
    }
  }
}

/** A 64-bit ARM that shows its guest 32 bits. */
const narrow = ({ os }: Domain): string[] => (os.type?.arch === 'armv7l' ? ['aarch64=off'] : []);

/**
 * On mainframes QEMU itself tells the host's model by name and features. Elsewhere a model that QEMU knows by name would have to be
 * picked with knowledge that QEMU does not have; what the host (or the emulation) can do is given whole.
 */
function hostModel({ domain, context }: Guest): string[] {
  const host = acceleratorFor(context.capabilities, domain.type).hostCpu;
  if (isS390Ccw(domain) && host)
    return [
      host.model,
      ...host.properties.map(({ name, value }) => `${name}=${typeof value === 'boolean' ? onOrOff(value) : value}`),
    ];
  return [domain.type === 'kvm' ? 'host' : 'max'];
}

const migratable = ({ migratable: on }: Cpu): string[] => (on === undefined ? [] : [`migratable=${onOrOff(on)}`]);

/** QEMU never knew these as properties, or gave them up: they follow from other features. */
export const notProperties = new Set(['osxsave', 'ospke', 'pconfig', 'cmt', 'mbm_total', 'mbm_local']);

/** Names that libvirt spells in a way of its own; elsewhere an underscore is a dash. */
const spelling: Readonly<Record<string, string>> = { pclmuldq: 'pclmulqdq' };

export const featureName = (name: string): string => spelling[name] ?? name.replace(/_/g, '-');

function customFeatures(guest: Guest, cpu: Cpu): string[] {
  const rename = isX86(guest.domain) ? featureName : (name: string): string => name;
  return cpu.features
    .filter(({ name, policy }) => !notProperties.has(name) && policy !== 'optional')
    .map(({ name, policy }) => `${rename(name)}=${onOrOff(policy !== 'disable' && policy !== 'forbid')}`);
}

function timerParts({ domain }: Guest): string[] {
  const parts: string[] = [];
  for (const { name, present, frequency } of domain.clock.timers) {
    if (name === 'kvmclock' && present !== undefined) parts.push(`kvmclock=${onOrOff(present)}`);
    if (name === 'hypervclock' && present) parts.push('hv-time=on');
    if (name === 'tsc' && frequency) parts.push(`tsc-frequency=${frequency}`);
    if (name === 'armvtimer' && timerOf(domain, 'armvtimer')?.tickpolicy)
      parts.push(`kvm-no-adjvtime=${onOrOff(timerOf(domain, 'armvtimer')?.tickpolicy === 'discard')}`);
  }
  return parts;
}

function featureParts({ domain }: Guest): string[] {
  const { apic, pvspinlock } = domain.features;
  return [
    ...(apic?.eoi === undefined ? [] : [`kvm-pv-eoi=${onOrOff(apic.eoi)}`]),
    ...(pvspinlock === undefined ? [] : [`kvm-pv-unhalt=${onOrOff(pvspinlock.state ?? true)}`]),
  ];
}

const hypervNames = [
  'relaxed',
  'vapic',
  'spinlocks',
  'vpindex',
  'runtime',
  'synic',
  'stimer',
  'reset',
  'vendor_id',
  'frequencies',
  'reenlightenment',
  'tlbflush',
  'ipi',
  'evmcs',
  'avic',
  'emsr_bitmap',
  'xmm_input',
] as const;

function hypervParts({ hyperv }: Features): string[] {
  if (hyperv === undefined) return [];
  const parts: string[] = hyperv.mode === 'passthrough' ? ['hv-passthrough=on'] : [];
  for (const name of hypervNames) {
    if (!hyperv[name]?.state) continue;
    const property = `hv-${name.replace('_', '-')}`;
    if (name === 'spinlocks') parts.push(`hv-spinlocks=0x${(hyperv.spinlocks?.retries ?? 0).toString(16)}`);
    else if (name === 'vendor_id') parts.push(`hv-vendor-id=${escapeWord(hyperv.vendor_id?.value ?? '')}`);
    else parts.push(`${property}=on`);
    if (name === 'stimer' && hyperv.stimer?.direct?.state) parts.push('hv-stimer-direct=on');
    if (name === 'tlbflush') {
      if (hyperv.tlbflush?.direct?.state) parts.push('hv-tlbflush-direct=on');
      if (hyperv.tlbflush?.extended?.state) parts.push('hv-tlbflush-ext=on');
    }
  }
  return parts;
}

const crashParts = ({ domain }: Guest): string[] =>
  domain.devices.panics.some(({ model }) => model === 'hyperv') ? ['hv-crash'] : [];

function kvmParts({ kvm, pmu }: Features): string[] {
  return [
    ...(kvm?.hidden?.state ? ['kvm=off'] : []),
    ...(kvm?.hintDedicated?.state ? ['kvm-hint-dedicated=on'] : []),
    ...(kvm?.pollControl?.state ? ['kvm-poll-control=on'] : []),
    ...(kvm?.pvIpi?.state === false ? ['kvm-pv-ipi=off'] : []),
    ...(pmu === undefined ? [] : [`pmu=${onOrOff(pmu.state ?? true)}`]),
  ];
}

function cacheParts({ cache }: Cpu): string[] {
  switch (cache?.mode) {
    case 'emulate':
      return cache.level === 3 ? ['l3-cache=on', 'host-cache-info=off'] : ['host-cache-info=off', 'l3-cache=off'];
    case 'passthrough':
      return ['host-cache-info=on', 'l3-cache=off'];
    case 'disable':
      return ['host-cache-info=off', 'l3-cache=off'];
    default:
      return [];
  }
}

function physicalParts({ maxphysaddr }: Cpu): string[] {
  if (maxphysaddr === undefined) return [];
  if (maxphysaddr.mode === 'passthrough')
    return ['host-phys-bits=on', ...(maxphysaddr.limit ? [`host-phys-bits-limit=${maxphysaddr.limit}`] : [])];
  return [maxphysaddr.bits ? `phys-bits=${maxphysaddr.bits}` : 'host-phys-bits=off'];
}
