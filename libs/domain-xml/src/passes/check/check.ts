/** Refuses what contradicts itself or what this QEMU cannot do: all rules, all faults, one error. */
import type { QemuCapabilities } from '../../capabilities';
import type { Domain } from '../../elements/domain';
import { Faults } from '../../schema';
import { controllerConflicts, controllerRules } from './controllers';
import { deviceRules } from './devices';
import { diskConflicts, diskRules } from './disks';
import { hostdevRules } from './hostdevs';
import { machineRules } from './machine';
import { memoryRules } from './memory';
import { osRules } from './os';
import { platformRules } from './platforms';
import type { Rule } from './rule';

const rules: readonly Rule[] = [
  ...osRules,
  ...machineRules,
  ...memoryRules,
  ...diskRules,
  ...controllerRules,
  ...hostdevRules,
  ...deviceRules,
  ...platformRules,
];

/** What devices of one kind must not have in common; holds whatever else is wrong with a document. */
const conflicts: readonly Rule[] = [...diskConflicts, ...controllerConflicts];

/** Throws one VirtError that names all faults. */
export function checkAll(domain: Domain, caps: QemuCapabilities | undefined): void {
  judge(rules, domain, caps);
}

/** Only what needs nothing but whole devices: names and addresses that are used twice. Throws one VirtError. */
export function checkConflicts(domain: Domain): void {
  judge(conflicts, domain, undefined);
}

function judge(by: readonly Rule[], domain: Domain, caps: QemuCapabilities | undefined): void {
  const faults = new Faults();
  for (const rule of by) rule({ domain, caps, faults });
  faults.throwIfAny();
}
