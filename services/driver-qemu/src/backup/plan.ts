/** What a backup does with each disk, worked out before anything is done: bitmaps, images, and what keeps it from being done. */
import {
  backupBitmap,
  diskImages,
  type BitmapAction,
  type Disk,
  type NodeImage,
  type NodeImages,
} from '@virtbus/domain-xml';
import { imagesIn } from '../block-jobs/nodes';
import { storeOf, type Backup, type BackupDisk } from '@virtbus/domain-xml/backup';
import { storeDisk, type BackupAsk, type BackupStart } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { diskForJob, imageName, nameOf, targetOf } from '../block-jobs/chain-names';
import { nodesOf } from '../block-jobs/graph';
import type { BlockHost } from '../block-jobs/nodes';
import { describeChain } from '../files';
import type { QemuGuest } from '../guest';
import { numbered } from '../image-numbers';
import type { BackupJob } from './saved-backup';

export interface DiskPlan {
  asked: BackupDisk;
  disk: Disk;
  /** Node of its active image. */
  top: string;
  /** That image as QEMU knows it. */
  image: NodeImage;
  /** Makes the bitmap of what has changed since the checkpoint. */
  bitmap: { name: string; actions: readonly BitmapAction[] } | undefined;
  /** Bytes to copy. */
  total: number;
}

/** Throws what keeps a disk from being backed up now. */
export async function planDisks(host: BlockHost, guest: QemuGuest, { backup }: BackupAsk): Promise<DiskPlan[]> {
  const images = await imagesIn(guest);
  return backup.disks.filter((asked) => asked.backup).map((asked) => planDisk(host, guest, images, asked));
}

function planDisk(host: BlockHost, guest: QemuGuest, images: NodeImages, asked: BackupDisk): DiskPlan {
  const disk = diskForJob(guest, asked.name);
  const chain = nodesOf(host, guest, disk);
  const [top = ''] = chain;
  const image = images.get(top);
  if (!image) throw new VirtError('OPERATION_FAILED', { detail: `QEMU has no image in disk '${asked.name}'` });
  const { incremental: since } = asked;
  if (since === undefined) return { asked, disk, top, image, bitmap: undefined, total: image.capacity };
  const name = bitmapOf(asked);
  const actions = backupBitmap(images, chain, { since, node: top, name, disk: asked.name });
  return { asked, disk, top, image, bitmap: { name, actions }, total: markedSince(images, chain, since) };
}

const bitmapOf = ({ name, exportbitmap }: BackupDisk): string => exportbitmap ?? `backup-${name}`;

/** The document of a pull as whoever reads it needs it: with the names that were left to us. (libvirt: qemu_backup.c) */
export function withExports(backup: Backup): Backup {
  if (backup.mode !== 'pull') return backup;
  const disks = backup.disks.map((disk) => ({
    ...disk,
    ...(disk.backup && { exportname: disk.exportname ?? disk.name }),
    ...(disk.backup && disk.incremental !== undefined && { exportbitmap: bitmapOf(disk) }),
  }));
  return { ...backup, disks };
}

/** At most: what is marked in several images may be the same. */
const markedSince = (images: NodeImages, chain: readonly string[], since: string): number =>
  chain
    .flatMap((node) => images.get(node)?.bitmaps.filter(({ name }) => name === since) ?? [])
    .reduce((sum, { dirtyBytes }) => sum + dirtyBytes, 0);

/** @param images what was prepared, by need */
export function planJob(guest: QemuGuest, plan: DiskPlan, ask: BackupAsk, images: BackupStart['images']): BackupJob {
  const { disk, top, asked } = plan;
  const { mode } = ask.backup;
  const need = `${storeOf(mode)}:${asked.name}`;
  const described = describeChain(storeDisk(disk, asked, mode), images.get(need));
  const store = numbered(guest, { ...described, backingStore: {} });
  const mirror = imageName(diskImages(store)[0]!);
  return {
    id: `backup-${targetOf(disk)}-${top}`,
    type: 'backup',
    disk: targetOf(disk),
    state: 'new',
    path: nameOf(disk),
    mirror,
    files: mirror === '' ? [] : [mirror],
    details: {
      store,
      pull: mode === 'pull',
      made: !ask.reuse && store.type === 'file',
      ...(plan.bitmap && { bitmap: { node: top, name: plan.bitmap.name } }),
    },
  };
}
