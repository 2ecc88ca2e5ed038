/** Checkpoints: bitmaps in the images of a running guest that record what it writes. (facts: block-jobs §3.5) */
import {
  backupBitmap,
  bitmapAt,
  checkpointBitmap,
  deleteBitmap,
  diskNamed,
  isBitmapValid,
  type Disk,
} from '@virtbus/domain-xml';
import type { Checkpoint } from '@virtbus/domain-xml/checkpoint';
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { nodesOf } from '../block-jobs/graph';
import { imagesIn, type BlockHost } from '../block-jobs/nodes';
import { whileWritable } from '../block-jobs/writable';
import type { QemuGuest } from '../guest';
import { freeze, thaw } from '../snapshots/freeze';

export function checkpointsFacet(host: BlockHost): NonNullable<Facets<QemuGuest>['checkpoints']> {
  return {
    check: (domain, checkpoint) => {
      for (const name of marked(checkpoint)) {
        const { driver } = diskNamed(domain, name);
        if (driver?.type === 'qcow2') continue;
        const detail = `checkpoint for disk ${name} unsupported for storage type ${driver?.type ?? 'raw'}`;
        throw new VirtError('CONFIG_UNSUPPORTED', { detail });
      }
    },
    create: async (guest, checkpoint, { quiesce, signal }) => {
      const actions = marked(checkpoint).flatMap((name) =>
        checkpointBitmap(nodesOf(host, guest, diskNamed(guest.live, name))[0]!, checkpoint.name),
      );
      if (actions.length === 0) return;
      try {
        if (quiesce) await freeze(guest, signal);
        await guest.askRaw('transaction', { actions }, signal);
      } finally {
        await thaw(guest);
      }
    },
    validate: async (guest, checkpoint) => {
      const images = await imagesIn(guest);
      for (const target of marked(checkpoint)) {
        const disk = attached(guest, target);
        if (!disk || !isBitmapValid(images, nodesOf(host, guest, disk), checkpoint.name))
          throw broken(checkpoint.name, target);
      }
    },
    sizes: async (guest, checkpoint, signal) => {
      const sizes = new Map<string, number>();
      for (const target of marked(checkpoint))
        sizes.set(target, await writtenSince(host, guest, target, checkpoint.name, signal));
      return sizes;
    },
    remove: async (guest, checkpoint, signal) => {
      for (const target of marked(checkpoint)) {
        const disk = attached(guest, target);
        if (disk) await removeBitmap(host, guest, disk, checkpoint.name, signal);
      }
    },
  };
}

const marked = ({ disks }: Checkpoint): string[] =>
  disks.filter(({ checkpoint }) => checkpoint === 'bitmap').map(({ name }) => name);

/** Undefined for a disk that has left the guest since. */
const attached = ({ live }: QemuGuest, target: string): Disk | undefined =>
  live.devices.disks.find((disk) => disk.target.dev === target);

const broken = (bitmap: string, disk: string): VirtError =>
  new VirtError('CHECKPOINT_INCONSISTENT', { detail: `missing or broken bitmap '${bitmap}' for disk '${disk}'` });

/** What is marked in all images together, counted in a bitmap for the purpose. */
async function writtenSince(
  host: BlockHost,
  guest: QemuGuest,
  target: string,
  since: string,
  signal: AbortSignal,
): Promise<number> {
  const disk = attached(guest, target);
  if (!disk) throw broken(since, target);
  const chain = nodesOf(host, guest, disk);
  const [node = ''] = chain;
  const count = { node, name: `libvirt-tmp-size-${target}` };
  const actions = backupBitmap(await imagesIn(guest), chain, { since, ...count, disk: target });
  await guest.askRaw('transaction', { actions }, signal);
  try {
    return bitmapAt(await imagesIn(guest), node, count.name)?.dirtyBytes ?? 0;
  } finally {
    await guest.askRaw('block-dirty-bitmap-remove', count);
  }
}

async function removeBitmap(
  host: BlockHost,
  guest: QemuGuest,
  disk: Disk,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const chain = nodesOf(host, guest, disk);
  const { reopen, actions } = deleteBitmap(await imagesIn(guest), chain, name);
  if (actions.length === 0) return;
  const depths = reopen.map((node) => chain.indexOf(node));
  await whileWritable(host, guest, disk, depths, async () => {
    await guest.askRaw('transaction', { actions }, signal);
  });
}
