/**
 * Images for the disks of a guest that comes from another host with them: made where they are missing, as large and of the
 * format that they have there, upon the images that they stand on there. Noted as made, so that they go when the guest does
 * not come; what they hold is the guest's to bring.
 */
import { lstat, truncate } from 'node:fs/promises';
import { givenChain, parseDevice, type Disk } from '@virtbus/domain-xml';
import { VirtError, type DiskCopy } from '@virtbus/shared';
import { run } from '../programs';
import { orExplain } from '../system-errors';
import type { MadeFiles, Maker } from './made-files';

/** @throws OPERATION_UNSUPPORTED for a format that is not made here; SYSTEM_ERROR */
export async function makeCopies(made: MadeFiles, maker: Maker, copies: readonly DiskCopy[]): Promise<void> {
  for (const { disk: xml, capacity } of copies) {
    const device = parseDevice(xml);
    const path = device.list === 'disks' && device.value.type === 'file' ? device.value.source?.file : undefined;
    if (device.list !== 'disks' || path === undefined) continue;
    const size = await sizeOf(path);
    // One that is there was made for it by somebody, or by this command before; an empty one is ours, and not done yet.
    if (size !== undefined && size > 0) continue;
    if (size === undefined) await made.make(maker, path, device.value.target.dev ?? path);
    await orExplain(`create ${path}`, () => fill(device.value, path, capacity));
  }
}

async function fill(disk: Disk, path: string, capacity: number): Promise<void> {
  const [top, below] = givenChain(disk)?.images ?? [];
  const format = top?.format ?? 'raw';
  if (format === 'raw') return truncate(path, capacity);
  if (format !== 'qcow2') {
    const detail = `no image of format '${format}' can be made for disk ${disk.target.dev ?? ''}; make ${path} on the target first`;
    throw new VirtError('OPERATION_UNSUPPORTED', { detail });
  }
  const stands = below && 'path' in below.location ? ['-b', below.location.path, '-F', below.format ?? 'raw'] : [];
  await run('qemu-img', ['create', '-q', '-f', format, ...stands, '--', path, String(capacity)], { mortal: true });
}

const sizeOf = (path: string): Promise<number | undefined> =>
  lstat(path).then(
    ({ size }) => size,
    () => undefined,
  );
