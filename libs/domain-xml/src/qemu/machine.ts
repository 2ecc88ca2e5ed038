/** `-machine` and `-accel`. */
import { findMachine } from '../capabilities';
import { isArmVirt, isX86 } from '../passes/machine';
import { hasFlag, type Guest } from './context';
import { firmwareMachineOptions } from './firmware';
import { architectureOptions, lateArchitectureOptions } from './machine-features';
import { onOrOff, words } from './props';
import type { CommandWords } from './words';

export function addMachine(out: CommandWords, guest: Guest): void {
  const { domain } = guest;
  const { features, devices, memoryBacking, launchSecurity } = domain;
  const hasNvdimm = devices.memories.some(({ model }) => model === 'nvdimm');
  const name = domain.os.type?.machine ?? '';
  out.add(
    '-machine',
    words(name, {
      usb: 'off',
      vmport: features.vmport && onOrOff(features.vmport.state ?? true),
      smm: features.smm && onOrOff(features.smm.state ?? true),
      i8042: features.ps2 && onOrOff(features.ps2.state),
      kernel_irqchip: interruptChip(guest),
      ...architectureOptions(guest),
      'dump-guest-core': onOrOff(domain.memory.dumpCore ?? guest.context.settings?.dumpGuestCore ?? false),
      'mem-merge': memoryBacking?.nosharepages ? 'off' : undefined,
      nvdimm: hasNvdimm ? 'on' : undefined,
      'memory-backend': usesPlainMemory(guest) ? defaultRamId(guest) : undefined,
      ...firmwareMachineOptions(guest),
      'confidential-guest-support': launchSecurity ? 'lsec0' : undefined,
      hmat:
        domain.cpu?.numa?.interconnects || domain.cpu?.numa?.cells.some(({ caches }) => caches.length > 0)
          ? 'on'
          : undefined,
      'pcspk-audiodev': speakerAudio(guest),
      hpet: hpetOption(guest),
      acpi: acpiOption(guest),
      ...lateArchitectureOptions(guest),
    }),
  );
}

/** The machine's own RAM is one object with this id; undefined when the machine takes none. */
export const defaultRamId = ({ domain, context }: Guest): string | undefined =>
  findMachine(context.capabilities, domain.type, domain.os.type?.machine ?? '')?.defaultRamId;

/** The guest's memory is one piece: no NUMA cells. */
export const usesPlainMemory = (guest: Guest): boolean =>
  (guest.domain.cpu?.numa?.cells.length ?? 0) === 0 && defaultRamId(guest) !== undefined;

function interruptChip({ domain }: Guest): 'on' | 'split' | undefined {
  const driver = domain.features.ioapic?.driver;
  return driver && (driver === 'kvm' ? 'on' : 'split');
}

function speakerAudio({ domain }: Guest): string | undefined {
  const speaker = domain.devices.sounds.find(({ model }) => model === 'pcspk');
  return speaker && `audio${speaker.audio?.id ?? domain.devices.audios[0]?.id ?? 1}`;
}

function hpetOption(guest: Guest): string | undefined {
  const hpet = guest.domain.clock.timers.find(({ name }) => name === 'hpet');
  if (hpet === undefined || !hasFlag(guest, 'machine-hpet')) return undefined;
  return hpet.present === undefined ? undefined : onOrOff(hpet.present);
}

/** Only a machine that can choose is told. */
function acpiOption({ domain, context }: Guest): string | undefined {
  const machine = findMachine(context.capabilities, domain.type, domain.os.type?.machine ?? '');
  return machine?.acpi ? onOrOff(domain.features.acpi ?? false) : undefined;
}

/** QEMUs before 8.0 do not say which machines know ACPI; they have an option of their own against it. */
export function addNoAcpi(out: CommandWords, { domain, context }: Guest): void {
  const machine = findMachine(context.capabilities, domain.type, domain.os.type?.machine ?? '');
  const knowsAcpi = isX86(domain) || isArmVirt(domain);
  if (machine?.acpi === undefined && knowsAcpi && !domain.features.acpi) out.add('-no-acpi');
}

const accelerators: Readonly<Record<string, string>> = { kvm: 'kvm', qemu: 'tcg', hvf: 'hvf' };

export function addAccelerator(out: CommandWords, { domain }: Guest): void {
  const { kvm, tcg } = domain.features;
  out.add(
    '-accel',
    words(accelerators[domain.type] ?? 'tcg', {
      'dirty-ring-size': domain.type === 'kvm' && kvm?.dirtyRing?.state ? kvm.dirtyRing.size : undefined,
      // MiB; the document counts KiB.
      'tb-size': domain.type === 'qemu' && tcg?.tbCache !== undefined ? Math.floor(tcg.tbCache / 1024) : undefined,
    }),
  );
}
