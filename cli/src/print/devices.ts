/** Disks and interfaces in virsh's tables. */
import type { DiskSizes } from '@virtbus/shared';
import type { DiskDevice, InterfaceDevice } from '../device-xml';
import type { Paint } from '../output';
import { safe, table } from './table';

export function printDisks(disks: readonly DiskDevice[], details: boolean, paint: Paint): string {
  const rows = disks.map(({ type, device, target, source }) => [
    ...(details ? [type, device] : []),
    target,
    source === undefined ? '-' : safe(source),
  ]);
  return table([...(details ? ['Type', 'Device'] : []), 'Target', 'Source'], rows, paint);
}

/** @param shown how a size is written; `-` where nobody can tell */
export function printDiskSizes(
  disks: readonly DiskSizes[],
  shown: (bytes: number | undefined) => string,
  paint: Paint,
): string {
  const rows = disks.map(({ disk, capacity, allocation, physical }) => [
    disk,
    ...[capacity, allocation, physical].map(shown),
  ]);
  return table(['Target', 'Capacity', 'Allocation', 'Physical'], rows, paint);
}

export function printInterfaces(interfaces: readonly InterfaceDevice[], paint: Paint): string {
  const rows = interfaces.map(({ target, type, source, model, mac }) => [
    target ?? '-',
    type,
    source === undefined ? '-' : safe(source),
    model ?? '-',
    mac,
  ]);
  return table(['Interface', 'Type', 'Source', 'Model', 'MAC'], rows, paint);
}
