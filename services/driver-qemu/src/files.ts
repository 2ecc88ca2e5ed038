/** The files that a guest needs on this host, and what it does with each. */
import { open, type FileHandle } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import type { BackingStore, Disk, Domain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { onTap, tunDevice } from './networks';

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
    ...(devices.interfaces.some(onTap) ? [{ path: tunDevice, need: 'write', what: 'taps' } as const] : []),
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
 * End the chain of a disk where its images end, in place. QEMU is told every layer and opens nothing that only a header
 * names: an image that stands on one the document does not describe is refused.
 *
 * Source: QEMU's qcow2 specification, magic at byte 0, `backing_file_offset` at byte 8.
 */
export async function endChain(disk: Disk): Promise<void> {
  let layer: Layer = disk;
  let format = disk.driver?.type ?? 'raw';
  while (layer.backingStore) {
    if (layer.backingStore.type === undefined) return; // The document ends it itself.
    layer = layer.backingStore;
    format = layer.format?.type ?? 'raw';
  }
  const path = localPath(layer.source);
  if (format === 'qcow2' && path) await mustStandAlone(path, disk.target.dev ?? '');
  layer.backingStore = {};
}

type Layer = Pick<BackingStore, 'source' | 'backingStore' | 'format'>;

async function mustStandAlone(path: string, target: string): Promise<void> {
  const header = Buffer.alloc(16);
  const file = await openImage(path);
  try {
    const { bytesRead } = await file.read(header, 0, 16, 0);
    if (bytesRead < 16 || header.toString('latin1', 0, 4) !== 'QFI\xfb') {
      throw new VirtError('OPERATION_FAILED', { detail: `'${path}' is not a qcow2 image, as disk ${target} says` });
    }
  } finally {
    await file.close();
  }
  if (header.readBigUInt64BE(8) === 0n) return;
  throw new VirtError('CONFIG_UNSUPPORTED', {
    detail: `'${path}' stands on a backing file that the document does not describe; add its <backingStore> with <format> and <source> to disk ${target}`,
    element: 'disk',
  });
}

async function openImage(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'No such file or directory' : code === 'EACCES' ? 'Permission denied' : message;
    throw new VirtError('SYSTEM_ERROR', { detail: `Cannot access storage file '${path}': ${why}` }, { cause });
  }
}
