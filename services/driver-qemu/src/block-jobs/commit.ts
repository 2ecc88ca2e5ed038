/** Commit: images of a chain are merged downwards into one below them. (facts: block-jobs §3.3) */
import {
  actionsByBitmap,
  activeWrites,
  afterPivot,
  beginActiveWrites,
  bitmapAt,
  commitBitmaps,
  definedWithoutLayers,
  definedWithSource,
  diskImages,
  endActiveWrites,
  marksItself,
  misleadingBitmaps,
  withMirror,
  withoutLayers,
  withoutMirror,
  type Disk,
} from '@virtbus/domain-xml';
import type { BlockJobStart } from '@virtbus/driver-runtime';
import { VirtError, type BlockJob, type commitBlocks, type Request } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { backingString, depthOf, depthOfIndex, diskForJob, imageName, indexAt, nameOf, targetOf } from './chain-names';
import { diskOf, withDisk } from './conclude';
import { filesAt, lendFiles, onlyRead } from './files';
import {
  anyBitmap,
  carryBitmaps,
  dropBitmaps,
  flushImage,
  mergeBitmaps,
  nodesOf,
  removalOf,
  reopenData,
} from './graph';
import type { Changes, JobKind } from './kind';
import { areFree, deviceNode, imagesIn, maskProtocol, removeNodes, type BlockHost } from './nodes';
import type { SavedJob } from './saved-job';

interface CommitDetails {
  /** Numbers of the images. */
  top: number;
  base: number;
  /** Remove these when all went well. */
  delete: string[];
}

interface CommitPlan {
  disk: Disk;
  /** Depths. */
  top: number;
  base: number;
  /** What the image above `top` is to record. */
  backing?: string;
}

/** Throws what is wrong with the request. */
export async function planCommit(guest: QemuGuest, ask: Request<typeof commitBlocks>): Promise<CommitPlan> {
  const disk = diskForJob(guest, ask.disk);
  const images = diskImages(disk);
  const invalid = (detail: string): VirtError => new VirtError('INVALID_ARG', { detail });
  if (images.length === 0) {
    throw new VirtError('CONFIG_UNSUPPORTED', { detail: `disk ${ask.disk} has no source file to be committed` });
  }
  const top = ask.top === undefined ? 0 : await depthOf(disk, ask.top);
  const named = imageName(images[top]!);
  if (top === 0 && !ask.active) throw invalid(`commit of '${targetOf(disk)}' active layer requires active flag`);
  if (top > 0 && ask.active) throw invalid(`active commit requested but '${named}' is not active`);
  if (top === images.length - 1) throw invalid(`top '${named}' in chain for '${nameOf(disk)}' has no backing file`);
  const shallowBase = ask.base === undefined && ask.shallow;
  const base = shallowBase ? top + 1 : await depthOf(disk, ask.base, top);
  if (ask.shallow && base !== top + 1) {
    throw invalid(
      `base '${imageName(images[base]!)}' is not immediately below '${named}' in chain for '${nameOf(disk)}'`,
    );
  }
  if (top === 0) return { disk, top, base };
  return { disk, top, base, backing: await backingString(disk, top, base, ask.relative) };
}

/** Images that are written to although the guest only reads them: the base, and the header above `top`. */
export const writtenBy = ({ top, base }: Pick<CommitPlan, 'top' | 'base'>): number[] =>
  top > 1 ? [base, top - 1] : [base];

export async function commit(
  host: BlockHost,
  guest: QemuGuest,
  ask: Request<typeof commitBlocks>,
  { command, signal }: BlockJobStart,
): Promise<BlockJob> {
  const plan = await planCommit(guest, ask);
  const { disk, top, base } = plan;
  const nodes = nodesOf(host, guest, disk);
  // QEMU answers while the job is written down.
  const device = deviceNode(guest, disk, signal);
  device.catch(() => undefined);
  const images = diskImages(disk);
  if (ask.delete) await refuseLoss(host, guest, plan, signal);
  const job: SavedJob<CommitDetails> = {
    id: `commit-${targetOf(disk)}-${nodes[top]}`,
    type: top === 0 ? 'active-commit' : 'commit',
    disk: targetOf(disk),
    state: 'new',
    command,
    path: nameOf(disk),
    ...(top === 0 && { mirror: imageName(images[base]!) }),
    finalizedByUs: true,
    files: [],
    details: {
      top: indexAt(disk, top),
      base: indexAt(disk, base),
      delete: ask.delete
        ? images.slice(top, base).flatMap(({ type, source }) => (type === 'file' ? [source.file!] : []))
        : [],
    },
  };
  const written = writtenBy(plan);
  await guest.blockJobs.begin([job], async () => {
    lendFiles(guest, host.user, filesAt(disk, written), 'write');
    // The live document tells of a commit of the active layer as of a mirror.
    if (top === 0) guest.live = withDisk(guest.live, withMirror(disk, { image: images[base]!, job: 'active-commit' }));
    guest.tellLive();
    for (const depth of written) await reopenData(host, guest, disk, depth, false);
    const args = {
      'job-id': job.id,
      device: await device,
      'top-node': nodes[top],
      'base-node': nodes[base],
      ...(plan.backing !== undefined && { 'backing-file': plan.backing }),
      ...(ask.bandwidth > 0 && { speed: ask.bandwidth }),
      'auto-finalize': false,
      'auto-dismiss': false,
      ...maskProtocol(guest),
    };
    await guest.askRaw('block-commit', args, signal);
  });
  return guest.blockJobs.begun(job, signal);
}

/** Only what an image shows is merged: an internal snapshot would go with its file. */
async function refuseLoss(
  host: BlockHost,
  guest: QemuGuest,
  { disk, top, base }: CommitPlan,
  signal: AbortSignal,
): Promise<void> {
  const found = await imagesIn(guest, signal);
  const nodes = nodesOf(host, guest, disk);
  diskImages(disk).forEach((image, depth) => {
    const [name] = depth < top || depth >= base ? [] : (found.get(nodes[depth]!)?.internalSnapshots ?? []);
    if (name === undefined) return;
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `internal snapshot '${name}' is within '${imageName(image)}', which would be deleted; delete the snapshot first, or keep the image (no --delete)`,
    });
  });
}

/** Depths of a job's images in the disk as it is; -1 for one that has left it. */
const depthsIn = (disk: Disk, { details }: SavedJob<CommitDetails>) => ({
  top: depthOfIndex(disk, details.top),
  base: depthOfIndex(disk, details.base),
});

export function commitKind(host: BlockHost): JobKind {
  return {
    happened: async (guest, job) => {
      const disk = diskOf(guest.live, job.disk);
      const { top, base } = disk ? depthsIn(disk, job as SavedJob<CommitDetails>) : { top: -1, base: -1 };
      return !disk || top < 0 || base < 0 || areFree(guest, removalOf(host, guest, disk, top, top + 1));
    },
    beforeFinal: async (guest, job) => {
      const merged = await mergedImages(host, guest, job as SavedJob<CommitDetails>);
      if (!merged) return;
      await mergeBitmaps(guest, merged.images, merged);
      await flushImage(guest, merged.base);
    },
    finish: async (guest, job, end) => {
      const saved = job as SavedJob<CommitDetails>;
      const disk = diskOf(guest.live, job.disk);
      if (!disk) return undefined;
      const { top, base } = depthsIn(disk, saved);
      const done = end.kind === 'completed';
      if (base < 0) return undefined;
      if (done && top >= 0) {
        if (!saved.finalizedByUs) await forgetMerged(host, guest, saved);
        await removeNodes(guest, removalOf(host, guest, disk, top, base));
      }
      await stopWriting(host, guest, disk, top < 0 ? [base] : writtenBy({ top, base }));
      if (!done) return undefined;
      const overlay = top > 0 ? top - 1 : base - 1;
      return { ...merged(saved), rewritten: overlay < 0 ? [] : filesAt(disk, [overlay]), merged: saved.details.delete };
    },
  };
}

/** What is merged into what, and what that is for the bitmaps; undefined when it has left the disk. */
async function mergedImages(host: BlockHost, guest: QemuGuest, job: SavedJob<CommitDetails>) {
  const disk = diskOf(guest.live, job.disk);
  const { top, base } = disk ? depthsIn(disk, job) : { top: -1, base: -1 };
  if (!disk || top < 0 || base < 0) return undefined;
  const images = await imagesIn(guest);
  const chain = nodesOf(host, guest, disk);
  return { images, chain, base: chain[base]!, actions: commitBitmaps(images, chain, top, base) };
}

/** One that an earlier release began has not waited for its bitmaps, and its base is only read again: they cannot follow. */
async function forgetMerged(host: BlockHost, guest: QemuGuest, job: SavedJob<CommitDetails>): Promise<void> {
  const merged = await mergedImages(host, guest, job);
  if (!merged) return;
  const { images, chain, base, actions } = merged;
  const lost = [...actionsByBitmap(actions).keys()].filter((name) => !marksItself(images, base, name));
  await dropBitmaps(guest, images, chain[0]!, [...lost, ...misleadingBitmaps(images, chain, base)]);
}

/** Documents without the images that were merged. */
function merged(job: SavedJob<CommitDetails>): Changes {
  return {
    live: (now) => {
      const { top, base } = depthsIn(now, job);
      return top < 0 || base < 0 ? now : withoutLayers(now, top, base);
    },
    definition: (defined, before) => {
      const { top, base } = depthsIn(before, job);
      return top < 0 || base < 0 ? defined : definedWithoutLayers(defined, before, top, base);
    },
  };
}

export function activeCommitKind(host: BlockHost): JobKind {
  return {
    happened: async (guest, job) => {
      const disk = diskOf(guest.live, job.disk);
      const base = disk ? depthsIn(disk, job as SavedJob<CommitDetails>).base : -1;
      return !disk || base < 1 || areFree(guest, removalOf(host, guest, disk, 0, 1));
    },
    pivoted: (job) => onBase(job as SavedJob<CommitDetails>),
    beforePivot: (guest, job) => markWrites(host, guest, job as SavedJob<CommitDetails>),
    finish: async (guest, job, end) => {
      const saved = job as SavedJob<CommitDetails>;
      const disk = diskOf(guest.live, job.disk);
      const base = disk ? depthsIn(disk, saved).base : -1;
      if (!disk || base < 1) return undefined;
      return end.kind === 'completed' ? pivoted(host, guest, disk, saved, base) : givenUp(host, guest, disk, base);
    },
  };
}

async function pivoted(
  host: BlockHost,
  guest: QemuGuest,
  disk: Disk,
  job: SavedJob<CommitDetails>,
  base: number,
): Promise<Changes> {
  const nodes = nodesOf(host, guest, disk);
  const images = await imagesIn(guest);
  if (bitmapAt(images, nodes[base]!, activeWrites)) await carryBitmaps(guest, commitBitmaps(images, nodes, 0, base));
  await removeNodes(guest, removalOf(host, guest, disk, 0, base), images);
  return { ...onBase(job), merged: job.details.delete };
}

/** Documents of a guest that stands on what was the base. */
function onBase(job: SavedJob<CommitDetails>): Changes {
  return {
    live: (now) => (now.mirror ? afterPivot(now) : now),
    definition: (defined, before) => {
      const depth = depthsIn(before, job).base;
      const image = diskImages(before)[depth];
      return image && depth > 0 ? definedWithSource(defined, before, image, { base: depth }) : defined;
    },
  };
}

async function givenUp(host: BlockHost, guest: QemuGuest, disk: Disk, base: number): Promise<Changes> {
  const node = nodesOf(host, guest, disk)[base]!;
  if (bitmapAt(await imagesIn(guest), node, activeWrites)) await carryBitmaps(guest, endActiveWrites(node));
  await stopWriting(host, guest, disk, [base]);
  return { live: withoutMirror };
}

/** From the pivot on, what the guest writes into the base is marked, for the bitmaps that go over to it. */
async function markWrites(host: BlockHost, guest: QemuGuest, job: SavedJob<CommitDetails>): Promise<void> {
  const disk = diskOf(guest.live, job.disk);
  const node = disk && nodesOf(host, guest, disk)[depthsIn(disk, job).base];
  if (node === undefined) return;
  const images = await imagesIn(guest);
  if (!anyBitmap(images) || bitmapAt(images, node, activeWrites)) return;
  await guest.askRaw('transaction', { actions: beginActiveWrites(node) });
}

/** What was written to only by the job is only read again. */
async function stopWriting(host: BlockHost, guest: QemuGuest, disk: Disk, depths: readonly number[]): Promise<void> {
  for (const depth of depths) {
    await reopenData(host, guest, disk, depth, true).catch((err: unknown) => {
      guest.log.warn({ err }, 'a data file stays open for writing');
    });
  }
  onlyRead(guest, host.user, filesAt(disk, depths));
}
