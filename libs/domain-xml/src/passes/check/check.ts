/** Refuses what contradicts itself or what this QEMU cannot do: all rules, all faults, one error. */
import type { QemuCapabilities } from '../../capabilities';
import type { Domain } from '../../elements/domain';
import { Faults } from '../../schema';
import { controllerRules } from './controllers';
import { deviceRules } from './devices';
import { diskRules } from './disks';
import { hostdevRules } from './hostdevs';
import { machineRules } from './machine';
import { memoryRules } from './memory';
import { osRules } from './os';
import type { Rule } from './rule';

const rules: readonly Rule[] = [
  ...osRules,
  ...machineRules,
  ...memoryRules,
  ...diskRules,
  ...controllerRules,
  ...hostdevRules,
  ...deviceRules,
];

/** Throws one VirtError that names all faults. */
export function checkAll(domain: Domain, caps: QemuCapabilities | undefined): void {
  const faults = new Faults();
  for (const rule of rules) rule({ domain, caps, faults });
  faults.throwIfAny();
}
