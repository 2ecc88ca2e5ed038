/**
 * Images for the disks of a guest that comes from another host with them: made where they are missing, as large and of the
 * format that they have there, upon the images that they stand on there. Noted as made, so that they go when the guest does
 * not come; what they hold is the guest's to bring.
 */
import { lstat, mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NewImage } from '@virtbus/disk-image';
import { givenChain, parseDevice, type Disk } from '@virtbus/domain-xml';
import { VirtError, type DiskCopy } from '@virtbus/shared';
import type { VolumeDirectory } from '../host';
import { run } from '../programs';
import { orExplain } from '../system-errors';
import type { MadeFiles, Maker } from './made-files';

/**
 * @param volumes hears of each that was made, before its guest brings anything
 * @throws OPERATION_UNSUPPORTED for a format that is not made here; SYSTEM_ERROR
 */
export async function makeCopies(
  made: MadeFiles,
  maker: Maker,
  copies: readonly DiskCopy[],
  volumes: Pick<VolumeDirectory, 'made'>,
): Promise<void> {
  for (const { disk: xml, capacity } of copies) {
    const device = parseDevice(xml);
    const path = device.list === 'disks' && device.value.type === 'file' ? device.value.source?.file : undefined;
    if (device.list !== 'disks' || path === undefined) continue;
    const size = await sizeOf(path);
    const isBegun = made.isBegun(maker, path);
    const { value: disk } = device;
    const format = givenChain(disk)?.images[0].format ?? 'raw';
    // One that is there was made for it by somebody, or by this command before.
    if (size !== undefined && size > 0 && !isBegun) {
      if (made.isMade(maker, path)) await volumes.made(path, format);
      continue;
    }
    const content = await orExplain(`create ${path}`, () => contentOf(disk, format, path, capacity));
    const makes = content !== undefined || size === undefined || isBegun;
    if (makes) await made.make(maker, path, disk.target.dev ?? path, content);
    // Its guest may have made it longer since.
    if (!content && (size ?? 0) < capacity) await orExplain(`create ${path}`, () => truncate(path, capacity));
    if (makes) await volumes.made(path, format);
  }
}

/** What an empty image of the format is made of, as QEMU makes it; undefined of a raw one, which is nothing but long. */
async function contentOf(disk: Disk, format: string, path: string, capacity: number): Promise<NewImage | undefined> {
  if (format === 'raw') return undefined;
  if (format !== 'qcow2') {
    const detail = `no image of format '${format}' can be made for disk ${disk.target.dev ?? ''}; make ${path} on the target first`;
    throw new VirtError('OPERATION_UNSUPPORTED', { detail });
  }
  const below = givenChain(disk)?.images[1];
  const stands = below && 'path' in below.location ? ['-b', below.location.path, '-F', below.format ?? 'raw'] : [];
  const folder = await mkdtemp(join(tmpdir(), 'virtbus-'));
  try {
    const file = join(folder, 'image');
    await run('qemu-img', ['create', '-q', '-f', format, ...stands, '--', file, String(capacity)], { mortal: true });
    const bytes = await readFile(file);
    return { length: bytes.length, pieces: [{ offset: 0, bytes }] };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const sizeOf = (path: string): Promise<number | undefined> =>
  lstat(path).then(
    ({ size }) => size,
    () => undefined,
  );
