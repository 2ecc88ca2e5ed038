/** Virtio devices on the board itself, where ARM and RISC-V guests look when there is no PCI. */
import { allDevices } from '../../device';
import type { DeviceInfo } from '../../elements/device-info';
import type { Domain } from '../../elements/domain';
import { archOf, hasPcieRoot, hasPciRoot, machineOf } from '../machine';
import { virtioDevices } from './ccw';

/** One device there takes all the others along. */
export function assignVirtioMmio(domain: Domain): void {
  if (!/^(aarch64|arm|riscv)/.test(archOf(domain)) || !/^(virt|vexpress)(-|$)/.test(machineOf(domain))) return;
  const inUse = allDevices(domain).some(({ value }) => (value as DeviceInfo).address?.type === 'virtio-mmio');
  if (!inUse && (hasPcieRoot(domain) || hasPciRoot(domain))) return;
  for (const device of virtioDevices(domain)) device.address ??= { type: 'virtio-mmio' };
}
