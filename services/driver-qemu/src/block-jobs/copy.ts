/** Copy: a disk is mirrored to another image while the guest uses it. (facts: block-jobs §3.4) */
import { rmSync } from 'node:fs';
import { formatLocation } from '@virtbus/disk-image';
import {
  activeWrites,
  afterPivot,
  beginActiveWrites,
  bitmapAt,
  copyBitmaps,
  definedWithSource,
  diskImages,
  headerFormatAt,
  imageNodes,
  likenessOf,
  namedLayers,
  withoutMirror,
  type Disk,
} from '@virtbus/domain-xml';
import type { BlockJobStart } from '@virtbus/driver-runtime';
import { VirtError, type BlockJob, type copyBlocks, type Request } from '@virtbus/shared';
import { filesOfDisk } from '../files';
import type { QemuGuest } from '../guest';
import { addImage, endCreation } from '../new-image';
import { imageName, nameOf, targetOf } from './chain-names';
import { diskOf, withDisk } from './conclude';
import { mirroredDisk, planCopy } from './copy-target';
import { lendFiles } from './files';
import { anyBitmap, carryBitmaps, nodesOf, removalOf } from './graph';
import type { Changes, JobKind } from './kind';
import { addNodes, areFree, deviceNode, imagesIn, nodeSource, removeNodes, type BlockHost } from './nodes';
import type { SavedJob } from './saved-job';

interface CopyDetails {
  /** What lies below the top is not copied. */
  shallow: boolean;
  /** The target was there already, with all that it stands on. */
  reuse: boolean;
}

export async function copy(
  host: BlockHost,
  guest: QemuGuest,
  ask: Request<typeof copyBlocks>,
  { command, signal, images }: BlockJobStart,
): Promise<BlockJob> {
  const plan = planCopy(guest, ask);
  const { disk, shallow } = plan;
  const reuse = ask.reuseExternal;
  const mirrored = mirroredDisk(guest, plan, reuse, images);
  const after = afterPivot(mirrored);
  const [source] = nodesOf(host, guest, disk);
  const [target] = nodesOf(host, guest, after);
  const device = await deviceNode(guest, disk, signal);
  const mine = filesOfDisk(shallow && !reuse ? { ...after, backingStore: {} } : after);
  const job: SavedJob<CopyDetails> = {
    id: `copy-${targetOf(disk)}-${source}`,
    type: 'copy',
    disk: targetOf(disk),
    state: 'new',
    command,
    path: nameOf(disk),
    mirror: imageName(diskImages(after)[0]!),
    finalizedByUs: true,
    files: mine.map(({ path }) => path),
    details: { shallow, reuse },
  };
  await guest.blockJobs.begin([job], async () => {
    guest.live = withDisk(guest.live, mirrored);
    guest.tellLive();
    if (reuse) await openTarget(host, guest, after, shallow, signal);
    else await makeTarget(host, guest, after, shallow, signal);
    const args = {
      'job-id': job.id,
      device,
      target,
      replaces: source,
      sync: shallow ? 'top' : 'full',
      ...(ask.bandwidth > 0 && { speed: ask.bandwidth }),
      ...(ask.granularity !== undefined && { granularity: ask.granularity }),
      ...(ask.bufferSize !== undefined && { 'buf-size': ask.bufferSize }),
      ...(ask.synchronousWrites && { 'copy-mode': 'write-blocking' }),
      'auto-finalize': false,
      'auto-dismiss': false,
    };
    await guest.askRaw('blockdev-mirror', args, signal);
  });
  return guest.blockJobs.begun(job, signal);
}

/** What is there already is lent and opened: a shallow copy's own chain only with the pivot, for others may still write to it. */
async function openTarget(
  host: BlockHost,
  guest: QemuGuest,
  after: Disk,
  shallow: boolean,
  signal: AbortSignal,
): Promise<void> {
  for (const { path, need } of filesOfDisk(after)) lendFiles(guest, host.user, [path], need);
  if (!shallow) await addNodes(guest, ownChain(host, guest, after, 1), signal);
  const { storage, format } = imageNodes(nodeSource(host, guest), after, 0, shallow ? { backing: null } : {});
  await addNodes(guest, [...storage, ...format], signal);
}

/** Steps that add the images of a disk from its lowest up to this depth. */
function ownChain(host: BlockHost, guest: QemuGuest, after: Disk, depth: number) {
  const source = nodeSource(host, guest);
  return diskImages(after)
    .map((_, at) => at)
    .slice(depth)
    .reverse()
    .flatMap((at) => {
      const { storage, format } = imageNodes(source, after, at);
      return [...storage, ...format];
    });
}

/** An image as large as the source is made in the file or device that is there. */
async function makeTarget(
  host: BlockHost,
  guest: QemuGuest,
  after: Disk,
  shallow: boolean,
  signal: AbortSignal,
): Promise<void> {
  const disk = diskOf(guest.live, targetOf(after))!;
  const like = (await imagesIn(guest)).get(nodesOf(host, guest, disk)[0]!);
  if (!like) throw new VirtError('INTERNAL_ERROR', { detail: `QEMU has no image of disk '${targetOf(disk)}'` });
  const make = {
    ...likenessOf(like),
    ...(shallow && {
      backing: { string: formatLocation(namedLayers(after)[1]!.location), format: headerFormatAt(after, 1) },
    }),
  };
  await addImage(host, guest, { disk: after, make }, signal);
}

export function copyKind(host: BlockHost): JobKind {
  return {
    happened: async (guest, job) => {
      const disk = diskOf(guest.live, job.disk);
      return !disk?.mirror || areFree(guest, removalOf(host, guest, disk, 0, 1));
    },
    pivoted: pivotedTo,
    beforePivot: (guest, job) => beforePivot(host, guest, job as SavedJob<CopyDetails>),
    finish: async (guest, job, end) => {
      const disk = diskOf(guest.live, job.disk);
      if (!disk?.mirror) return undefined;
      const { shallow, reuse } = (job as SavedJob<CopyDetails>).details;
      const onOld = shallow && !reuse;
      const after = afterPivot(disk);
      if (end.kind !== 'completed') {
        const count = onOld ? 1 : diskImages(after).length;
        const isMade = job.state === 'new' && !reuse;
        if (isMade) await endCreation(guest, nodesOf(host, guest, after)[0]!);
        await removeNodes(guest, removalOf(host, guest, after, 0, count));
        // Nothing was copied into it, and nobody was told of it.
        if (isMade && after.type === 'file' && after.source?.file !== undefined)
          rmSync(after.source.file, { force: true });
        return { live: withoutMirror };
      }
      const nodes = nodesOf(host, guest, disk);
      const mirror = nodesOf(host, guest, after)[0]!;
      const bitmaps = await imagesIn(guest);
      if (bitmapAt(bitmaps, mirror, activeWrites))
        await carryBitmaps(guest, copyBitmaps(bitmaps, nodes, mirror, shallow));
      await removeNodes(guest, removalOf(host, guest, disk, 0, onOld ? 1 : nodes.length), bitmaps);
      return pivotedTo();
    },
  };
}

const pivotedTo = (): Changes => ({
  live: (now) => (now.mirror ? afterPivot(now) : now),
  definition: (defined, before) =>
    before.mirror ? definedWithSource(defined, before, diskImages(afterPivot(before))[0]!) : defined,
});

async function beforePivot(host: BlockHost, guest: QemuGuest, job: SavedJob<CopyDetails>): Promise<void> {
  const disk = diskOf(guest.live, job.disk);
  if (!disk?.mirror) return;
  const after = afterPivot(disk);
  if (disk.shareable && !disk.readonly && after.driver?.type !== 'raw') {
    const detail = "can't pivot a shared disk to a storage volume not supporting sharing";
    throw new VirtError('OPERATION_UNSUPPORTED', { detail });
  }
  const [mirror, below] = nodesOf(host, guest, after);
  const bitmaps = await imagesIn(guest);
  if (bitmapAt(bitmaps, mirror!, activeWrites)) return;
  const { shallow, reuse } = job.details;
  const attach = shallow && reuse && below !== undefined;
  if (attach) await addNodes(guest, ownChain(host, guest, after, 1));
  const actions = [
    ...(attach ? [{ type: 'blockdev-snapshot', data: { node: below, overlay: mirror } }] : []),
    ...(anyBitmap(bitmaps) ? beginActiveWrites(mirror!) : []),
  ];
  if (actions.length === 0) return;
  await guest.askRaw('transaction', { actions });
}
