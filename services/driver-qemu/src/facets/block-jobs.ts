/** Pull, commit and copy as commands; the jobs of a guest, their speed and their end. */
import { diskImages, diskNamed, formatDevice, withImages, type Disk } from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError, type ImageNeed } from '@virtbus/shared';
import { targetOf } from '../block-jobs/chain-names';
import { commit, planCommit, writtenBy } from '../block-jobs/commit';
import { copy } from '../block-jobs/copy';
import { copyNeeds, planCopy } from '../block-jobs/copy-target';
import type { BlockHost } from '../block-jobs/nodes';
import { pull } from '../block-jobs/pull';
import type { JobEnd, SavedJob } from '../block-jobs/saved-job';
import type { QemuGuest } from '../guest';

export function blockJobsFacet(host: BlockHost): NonNullable<Facets<QemuGuest>['blockJobs']> {
  return {
    pull: (guest, ask, how) => pull(host, guest, ask, how),
    commit: (guest, ask, how) => commit(host, guest, ask, how),
    commitNeeds: async (guest, ask) => {
      const plan = await planCommit(guest, ask);
      return writtenBy(plan).map((depth) => toWrite(plan.disk, depth, depth === plan.base ? 'base' : 'overlay'));
    },
    copy: (guest, ask, how) => copy(host, guest, ask, how),
    copyNeeds: async (guest, ask) => copyNeeds(planCopy(guest, ask), ask.reuseExternal),
    list: async (guest, disk, signal) => {
      const target = disk === undefined ? undefined : targetOf(diskNamed(guest.live, disk));
      const jobs = await guest.blockJobs.list(signal);
      return jobs.filter((job) => target === undefined || job.disk === target);
    },
    abort: async (guest, { disk, pivot, wait }, { command, signal }) => {
      const { blockJobs } = guest;
      const before = blockJobs.endBy(command);
      if (before) return refuseFailed(disk, pivot, before);
      const job = jobOf(guest, disk);
      // Listened to first: the end may be told before QEMU has answered.
      const ended = wait ? blockJobs.until(job.id, [], signal) : Promise.resolve(undefined);
      ended.catch(() => undefined);
      await (pivot ? blockJobs.pivot(job, command) : blockJobs.abort(job, command));
      refuseFailed(job.disk, pivot, await ended);
    },
    setSpeed: async (guest, disk, bandwidth, signal) => {
      const { id } = jobOf(guest, disk);
      await guest.ask('block-job-set-speed', { device: id, speed: bandwidth }, signal);
    },
  };
}

/** A job that is given up may end as it likes; one that is to pivot has to. */
function refuseFailed(disk: string, pivot: boolean, end: JobEnd | undefined): void {
  if (!pivot || end?.kind !== 'failed') return;
  const detail = `block job '${disk}' failed while pivoting: ${end.error ?? 'unknown reason'}`;
  throw new VirtError('OPERATION_FAILED', { detail });
}

function jobOf(guest: QemuGuest, name: string): SavedJob {
  const target = targetOf(diskNamed(guest.live, name));
  const job = guest.blockJobs.ofDisk(target);
  if (job) return job;
  throw new VirtError('INVALID_ARG', { detail: `disk ${name} does not have an active block job` });
}

/** An image of the disk as a disk of its own, with all that it stands on. */
function toWrite(disk: Disk, depth: number, what: string): ImageNeed {
  const target = targetOf(disk);
  const alone = withImages(disk, diskImages(disk).slice(depth), true);
  return {
    name: `${what}:${target}`,
    target,
    disk: formatDevice({ list: 'disks', value: alone }, 'inactive'),
    use: 'write',
  };
}
