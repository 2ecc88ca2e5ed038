/** Images of deleted snapshots, merged into what they stand on: by block jobs while the guest runs, by qemu-img when it is off. */
import { formatLocation } from '@virtbus/disk-image';
import { diskImages, formatDevice, withImages } from '@virtbus/domain-xml';
import type { Merge } from '@virtbus/driver-runtime';
import { VirtError, type BlockJob, type ChainDocument, type ImageNeed } from '@virtbus/shared';
import type { JobEnd } from '../block-jobs';
import { commit, planCommit, writtenBy } from '../block-jobs/commit';
import type { BlockHost } from '../block-jobs/nodes';
import type { QemuGuest } from '../guest';
import { mergeOfflineBitmaps } from './offline-bitmaps';
import { qemuImg } from './qemu-img';

/** The merge as the commit that does it. */
function commitOf(guest: QemuGuest, { target, top, base }: Merge) {
  const disk = guest.live.devices.disks.find((one) => one.target.dev === target);
  const images = disk ? diskImages(disk) : [];
  const named = (depth: number): string => `${target}[${images[depth]?.source.index ?? ''}]`;
  return {
    ...{ disk: target, base: named(base), active: top === 0, ...(top === 0 ? {} : { top: named(top) }) },
    ...{ shallow: false, delete: true, bandwidth: 0, relative: false },
  };
}

export async function mergeNeeds(guest: QemuGuest, merges: readonly Merge[]): Promise<ImageNeed[]> {
  const needs: ImageNeed[] = [];
  for (const merge of merges) {
    const plan = await planCommit(guest, commitOf(guest, merge));
    for (const depth of writtenBy(plan)) {
      const value = withImages(plan.disk, diskImages(plan.disk).slice(depth), true);
      const { target } = merge;
      const name = `${depth === plan.base ? 'base' : 'overlay'}:${target}`;
      needs.push({ name, target, disk: formatDevice({ list: 'disks', value }, 'inactive'), use: 'write' });
    }
  }
  return needs;
}

/**
 * All begin; all have to be ready or done before one goes over to its base. When one fails the others are given up. However
 * it goes, no job of it is left when this is over: until then what it writes to is held for it.
 */
export async function merge(
  host: BlockHost,
  guest: QemuGuest,
  merges: readonly Merge[],
  how: { command: string; signal: AbortSignal },
): Promise<void> {
  const { blockJobs } = guest;
  const jobs: BlockJob[] = [];
  try {
    for (const one of merges) jobs.push(await commit(host, guest, commitOf(guest, one), { ...how, images: new Map() }));
    for (const { id } of jobs) refuseFailed(await blockJobs.until(id, ['ready'], how.signal));
    for (const { id } of jobs) refuseFailed(await pivoted(blockJobs, id));
  } catch (error) {
    for (const { id } of jobs) {
      const job = blockJobs.jobs.find((one) => one.id === id);
      if (!job) continue;
      const ended = blockJobs.until(id, []).catch(() => undefined);
      await blockJobs.abort(job).catch((err: unknown) => guest.log.warn({ err, id }, 'a job cannot be given up'));
      await ended;
    }
    throw error;
  }
}

/** How the job ended; it may have failed since it was ready, while the others were waited for. */
async function pivoted(blockJobs: QemuGuest['blockJobs'], id: string): Promise<JobEnd | undefined> {
  const job = blockJobs.jobs.find((one) => one.id === id);
  const ended = blockJobs.until(id, []);
  ended.catch(() => undefined);
  try {
    if (job?.state === 'ready') await blockJobs.pivot(job);
  } catch (error) {
    // An answer that was lost: it is told again until the job has ended.
    if (job?.state !== 'pivoting') throw error;
  }
  return ended;
}

/** Until none of its jobs is left: what they write to is held for it till then. */
export async function giveUpMerge({ blockJobs, log }: QemuGuest, command: string): Promise<void> {
  for (const job of blockJobs.jobs.filter((one) => one.command === command)) {
    const ended = blockJobs.until(job.id, []);
    ended.catch(() => undefined);
    try {
      await blockJobs.abort(job);
    } catch (err) {
      // One that is being ended ends; one that has not heard of it is told again.
      log.info({ err, job: job.id }, 'a job of a merge that was given up has not been told to end');
      if (job.state !== 'pivoting' && job.state !== 'aborting' && job.state !== 'concluded') throw err;
    }
    await ended;
  }
}

function refuseFailed(end: JobEnd | undefined): void {
  if (!end || end.kind === 'completed') return;
  throw new VirtError('OPERATION_FAILED', { detail: `merging images ${end.kind}: ${end.error ?? 'no reason given'}` });
}

export async function mergeOffline(
  merges: readonly Merge[],
  chains: ReadonlyMap<string, ChainDocument>,
  signal: AbortSignal,
): Promise<void> {
  for (const { target, top, base } of merges) {
    const layers = chains.get(target)?.layers ?? [];
    const [upper, lower, above] = [layers[top], layers[base], layers[top - 1]];
    // Whoever asks moves the documents and removes the files next.
    if (!upper || !lower)
      throw new VirtError('INTERNAL_ERROR', { detail: `disk '${target}' has no images ${top} and ${base} to merge` });
    const into = formatLocation(lower.location);
    const recorded = layers[base - 1]?.backing?.string ?? into;
    await qemuImg(['commit', '-q', '-d', '-f', upper.format, '-b', recorded, formatLocation(upper.location)], signal);
    // Before what stands on it goes over to the other image: until then all is as it was, for whoever does it again.
    await mergeOfflineBitmaps(layers, { top, base }, signal);
    if (!above) continue;
    const header = ['-f', above.format, '-F', lower.format, '-b', into];
    await qemuImg(['rebase', '-q', '-u', ...header, formatLocation(above.location)], signal);
  }
}
