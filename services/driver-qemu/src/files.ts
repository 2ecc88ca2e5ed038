/** The files that a guest needs on this host, and what it does with each. */
import { open } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import type { Disk, Domain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';

export interface NeededFile {
  path: string;
  need: 'read' | 'write';
  what: string;
}

export function neededFiles(domain: Domain): NeededFile[] {
  const { os, devices } = domain;
  const boot: NeededFile[] = [
    ...named(os.kernel, 'kernel'),
    ...named(os.initrd, 'initrd'),
    ...named(os.dtb, 'dtb'),
    ...named(os.loader?.path, 'loader'),
  ];
  const nvram = os.nvram?.path;
  return [
    ...boot,
    ...(nvram && existsSync(nvram) ? [{ path: nvram, need: 'write', what: 'nvram' } as const] : []),
    ...devices.disks.flatMap(filesOfDisk),
  ];
}

const named = (path: string | undefined, what: string): NeededFile[] =>
  path ? [{ path, need: 'read' as const, what }] : [];

/** The active layer as the guest uses it; the layers below are only read. */
export function filesOfDisk(disk: Disk): NeededFile[] {
  const what = `disk ${disk.target.dev ?? ''}`.trim();
  const path = localPath(disk.source);
  const writes = !disk.readonly && disk.device !== 'cdrom';
  const files: NeededFile[] = path ? [{ path, need: writes ? 'write' : 'read', what }] : [];
  for (let layer = disk.backingStore; layer; layer = layer.backingStore) {
    const below = localPath(layer.source);
    if (below) files.push({ path: below, need: 'read', what: `${what}, backing layer` });
  }
  return files;
}

function localPath(source: Disk['source']): string | undefined {
  return source?.file ?? source?.dev;
}

/**
 * Refuse an image that names a backing file which the document does not describe: QEMU would open whatever the header
 * says. Source: QEMU's qcow2 specification, `backing_file_offset` at byte 8.
 */
export async function checkBacking(disk: Disk): Promise<void> {
  const path = localPath(disk.source);
  if (!path || disk.driver?.type !== 'qcow2' || disk.backingStore) return;
  const file = await open(path, 'r');
  try {
    const header = Buffer.alloc(16);
    const { bytesRead } = await file.read(header, 0, 16, 0);
    if (bytesRead < 16 || header.toString('latin1', 0, 4) !== 'QFI\xfb') {
      throw new VirtError('OPERATION_FAILED', {
        detail: `'${path}' is not a qcow2 image, as disk ${disk.target.dev} says`,
      });
    }
    if (header.readBigUInt64BE(8) === 0n) return;
    throw new VirtError('CONFIG_UNSUPPORTED', {
      detail: `'${path}' stands on a backing file that the document does not describe; add its <backingStore> with <format> and <source> to disk ${disk.target.dev}`,
      element: 'disk',
    });
  } finally {
    await file.close();
  }
}
