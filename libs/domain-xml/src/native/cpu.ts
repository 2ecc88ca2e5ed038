/** `-cpu`: the model, its features, and what belongs elsewhere in the document: Hyper-V, KVM, clocks. */
import { documentName } from '../cpu/feature-names';
import type { Domain } from '../elements/domain';
import type { Draft, Sketch } from './draft';
import { addTimer } from './timers';
import { NotUnderstood } from './not-understood';

export function readCpu(draft: Draft): void {
  draft.each(['-cpu'], (value) => {
    const [model = '', ...words] = value.split(',');
    const cpu = startOf(model);
    draft.domain.cpu = { ...draft.domain.cpu, ...cpu };
    const left = words.filter((word) => !readWord(draft.domain, word));
    if (left.length > 0)
      throw new NotUnderstood(`${left.join(', ')} has no place in a document; the whole option stays`);
  });
}

function startOf(model: string): Sketch<Domain>['cpu'] {
  if (model === '') throw new NotUnderstood('it names no model');
  if (model === 'host') return { mode: 'host-passthrough' };
  if (model === 'max') return { mode: 'maximum' };
  return { mode: 'custom', match: 'exact', model: { name: model, fallback: 'forbid' } };
}

const clocks: Readonly<Record<string, 'kvmclock' | 'hypervclock'>> = { kvmclock: 'kvmclock', 'hv-time': 'hypervclock' };
const hypervFlags = new Set(
  'relaxed vapic vpindex runtime synic stimer reset frequencies reenlightenment tlbflush ipi evmcs avic'.split(' '),
);

/** False for a word that the document cannot say. */
function readWord(domain: Draft['domain'], word: string): boolean {
  const [key, value] = keyed(word);
  const isOn = value === 'on';
  const features = (domain.features ??= {});
  const cpu = domain.cpu!;
  if (value !== 'on' && value !== 'off') return readNumber(domain, key, value);
  if (clocks[key]) addTimer(domain, { name: clocks[key], present: isOn });
  else if (key.startsWith('hv-')) {
    const name = key.slice(3);
    if (!hypervFlags.has(name)) return false;
    features.hyperv = { ...features.hyperv, [name]: { state: isOn } };
  } else if (key === 'kvm') features.kvm = { ...features.kvm, hidden: { state: !isOn } };
  else if (key === 'kvm-hint-dedicated') features.kvm = { ...features.kvm, hintDedicated: { state: isOn } };
  else if (key === 'kvm-poll-control') features.kvm = { ...features.kvm, pollControl: { state: isOn } };
  else if (key === 'kvm-pv-ipi' && !isOn) features.kvm = { ...features.kvm, pvIpi: { state: false } };
  else if (key === 'kvm-pv-eoi') features.apic = { eoi: isOn };
  else if (key === 'kvm-pv-unhalt') features.pvspinlock = { state: isOn };
  else if (key === 'pmu') features.pmu = { state: isOn };
  else if (key === 'migratable') cpu.migratable = isOn;
  else if (key === 'host-phys-bits' && isOn) cpu.maxphysaddr = { mode: 'passthrough' };
  else if (key === 'l3-cache' || key === 'host-cache-info') return readCache(cpu, key, isOn);
  else if (/^(enforce|check|x-|legacy-|fill-|full-cpuid)/.test(key)) return false;
  else cpu.features = [...(cpu.features ?? []), { name: documentName(key), policy: isOn ? 'require' : 'disable' }];
  return true;
}

/** `+f`, `-f`, `f` and `f=on` are ways to say one thing; so are `_` and `-`. */
function keyed(word: string): [key: string, value: string] {
  if (/^[+-]/.test(word)) return [word.slice(1).replaceAll('_', '-'), word.startsWith('+') ? 'on' : 'off'];
  const equals = word.indexOf('=');
  if (equals < 0) return [word.replaceAll('_', '-'), 'on'];
  return [word.slice(0, equals).replaceAll('_', '-'), word.slice(equals + 1)];
}

function readNumber(domain: Draft['domain'], key: string, value: string): boolean {
  const features = (domain.features ??= {});
  switch (key) {
    case 'hv-spinlocks':
      features.hyperv = { ...features.hyperv, spinlocks: { state: true, retries: Number(value) } };
      return true;
    case 'hv-vendor-id':
      features.hyperv = { ...features.hyperv, vendor_id: { state: true, value } };
      return true;
    case 'tsc-frequency':
      addTimer(domain, { name: 'tsc', frequency: Number(value) });
      return true;
    case 'vendor':
      if (domain.cpu?.model) domain.cpu.model.vendor_id = value;
      return domain.cpu?.model !== undefined;
    case 'phys-bits':
      domain.cpu!.maxphysaddr = { mode: 'emulate', bits: Number(value) };
      return true;
    default:
      return false;
  }
}

/** Two words that together say where the guest's caches come from. */
function readCache(cpu: NonNullable<Sketch<Domain>['cpu']>, key: string, isOn: boolean): boolean {
  const before = cpu.cache?.mode;
  if (key === 'host-cache-info') {
    if (isOn) cpu.cache = { mode: 'passthrough' };
    else if (before !== 'emulate') cpu.cache = { mode: 'disable' };
  } else if (isOn) cpu.cache = { mode: 'emulate', level: 3 };
  else if (before !== 'passthrough') cpu.cache = { mode: 'disable' };
  return true;
}
