/** Pull: what images below the active one hold is copied into it. (facts: block-jobs §3.2) */
import { definedWithoutLayers, diskImages, pullBitmaps, withoutLayers, type Disk } from '@virtbus/domain-xml';
import type { BlockJobStart } from '@virtbus/driver-runtime';
import { VirtError, type BlockJob, type pullBlocks, type Request } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { backingString, depthOf, depthOfIndex, diskForJob, indexAt, nameOf, targetOf } from './chain-names';
import { diskOf } from './conclude';
import { filesAt } from './files';
import { flushImage, mergeBitmaps, nodesOf, removalOf } from './graph';
import type { JobKind } from './kind';
import { areFree, imagesIn, maskProtocol, removeNodes, type BlockHost } from './nodes';
import type { SavedJob } from './saved-job';

interface PullDetails {
  /** Number of the image that stays below; undefined when none does. */
  base?: number;
}

interface PullPlan {
  disk: Disk;
  /** Depth of the base; the length of the chain when there is none. */
  base: number;
  backing?: string;
}

async function planPull(guest: QemuGuest, ask: Request<typeof pullBlocks>): Promise<PullPlan> {
  const disk = diskForJob(guest, ask.disk);
  const { length } = diskImages(disk);
  if (length === 0)
    throw new VirtError('CONFIG_UNSUPPORTED', { detail: `disk ${ask.disk} has no source file to be pulled into` });
  if (ask.base === undefined) {
    if (!ask.relative) return { disk, base: length };
    throw new VirtError('INVALID_ARG', { detail: 'only a header that names a base can name it relatively' });
  }
  const base = await depthOf(disk, ask.base, 0);
  return { disk, base, backing: await backingString(disk, 1, base, ask.relative) };
}

export async function pull(
  host: BlockHost,
  guest: QemuGuest,
  ask: Request<typeof pullBlocks>,
  { command, signal }: BlockJobStart,
): Promise<BlockJob> {
  const { disk, base, backing } = await planPull(guest, ask);
  const nodes = nodesOf(host, guest, disk);
  const target = targetOf(disk);
  const hasBase = backing !== undefined;
  const job: SavedJob<PullDetails> = {
    id: `pull-${target}-${nodes[0]}`,
    type: 'pull',
    disk: target,
    state: 'new',
    command,
    path: nameOf(disk),
    finalizedByUs: true,
    files: [],
    details: hasBase ? { base: indexAt(disk, base) } : {},
  };
  await guest.blockJobs.begin([job], () =>
    guest.askRaw(
      'block-stream',
      {
        'job-id': job.id,
        device: nodes[0],
        ...(hasBase && { 'base-node': nodes[base], 'backing-file': backing }),
        ...(ask.bandwidth > 0 && { speed: ask.bandwidth }),
        'auto-finalize': false,
        'auto-dismiss': false,
        ...maskProtocol(guest),
      },
      signal,
    ),
  );
  return guest.blockJobs.begun(job, signal);
}

export function pullKind(host: BlockHost): JobKind {
  return {
    happened: (guest, job) => {
      const { disk, base } = whereabouts(guest, job);
      return areFree(guest, disk ? removalOf(host, guest, disk, 1, Math.min(base, 2)) : []);
    },
    beforeFinal: async (guest, job) => {
      await carry(host, guest, job);
      const { disk } = whereabouts(guest, job);
      const [active] = disk ? nodesOf(host, guest, disk) : [];
      if (active !== undefined) await flushImage(guest, active);
    },
    finish: async (guest, job, end) => {
      const { disk, base } = whereabouts(guest, job);
      if (end.kind !== 'completed' || !disk) return undefined;
      // One that an earlier release began has not waited for it.
      if (!job.finalizedByUs) await carry(host, guest, job);
      await removeNodes(guest, removalOf(host, guest, disk, 1, base));
      const { base: index } = job.details as PullDetails;
      const depth = (one: Disk): number | undefined => (index === undefined ? undefined : depthOfIndex(one, index));
      return {
        rewritten: filesAt(disk, [0]),
        live: (now) => withoutLayers(now, 1, depth(now)),
        definition: (defined, before) => definedWithoutLayers(defined, before, 1, depth(before)),
      };
    },
  };
}

/** The active image gets the bitmaps of those that it takes up. */
async function carry(host: BlockHost, guest: QemuGuest, job: SavedJob): Promise<void> {
  const { disk, base } = whereabouts(guest, job);
  if (!disk) return;
  const chain = nodesOf(host, guest, disk);
  const images = await imagesIn(guest);
  const actions = pullBitmaps(images, chain, base < chain.length ? base : undefined);
  await mergeBitmaps(guest, images, { chain, actions });
}

/** The disk, and where in it the base is now; below the chain's end when there is none. */
function whereabouts(guest: QemuGuest, job: SavedJob): { disk: Disk | undefined; base: number } {
  const disk = diskOf(guest.live, job.disk);
  const { base } = job.details as PullDetails;
  if (!disk) return { disk, base: 0 };
  return { disk, base: base === undefined ? diskImages(disk).length : depthOfIndex(disk, base) };
}
