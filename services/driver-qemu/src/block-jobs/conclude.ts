/** What a block job's progress and end do to documents, and how they are told. */
import { withMirrorReady, type Disk, type Domain } from '@virtbus/domain-xml';
import type { EventNews } from '@virtbus/driver-runtime';
import type { QemuGuest } from '../guest';
import { chainOf } from './chain-of';
import { returnFiles } from './files';
import type { Changes, JobKind } from './kind';
import { outlivePowerCut, removeMerged } from './power-cut';
import type { JobEnd, SavedJob } from './saved-job';
import { writtenOrNot } from './written';

type MirrorState = 'yes' | 'abort' | 'pivot' | undefined;

/** Show in the live document how far a job with a mirror is. It is on disk, and so is the job, when this returns. */
export function showMirror(guest: QemuGuest, job: SavedJob, ready: MirrorState): void {
  markMirror(guest, job, ready);
  guest.tellLive();
}

/** The job as it is now, the live document and the event, in one turn. */
export function tellReady(guest: QemuGuest, job: SavedJob): void {
  markMirror(guest, job, 'yes');
  guest.tell({
    kind: 'images',
    chains: {},
    definition: (config) => config,
    event: { class: 'block-job', type: 'ready', data: eventData(job), caused: false },
  });
}

function markMirror(guest: QemuGuest, { disk: target }: SavedJob, ready: MirrorState): void {
  const disk = diskOf(guest.live, target);
  if (disk?.mirror) guest.live = withDisk(guest.live, withMirrorReady(disk, ready));
}

/**
 * The definition names what the guest is about to stand on; how it was is kept with the job, and is on disk before. May be done
 * again, as after it could not be written.
 */
export function defineTarget(guest: QemuGuest, job: SavedJob, changes: Changes | undefined): void {
  const live = diskOf(guest.live, job.disk);
  const edit = changes?.definition;
  if (!live || !edit) return;
  const keep = (config: Domain): Domain => {
    job.defined ??= diskOf(config, job.disk);
    return config;
  };
  writtenOrNot(guest, [job], () => redefine(guest, keep));
  if (!job.defined) return;
  redefine(guest, (config) => {
    const defined = diskOf(config, job.disk);
    return defined ? withDisk(config, edit(defined, live)) : config;
  });
}

/** Nothing has happened yet: nobody is told. */
const redefine = (guest: QemuGuest, definition: (config: Domain) => Domain): void =>
  guest.tell({ kind: 'images', chains: {}, definition });

/**
 * Nodes and files away, then documents and event in one turn. Can be done again: a crash on the way, or a disk that is full,
 * leaves the job with its end.
 */
export async function conclude(guest: QemuGuest, job: SavedJob, end: JobEnd, kind: JobKind): Promise<void> {
  const changes = await kind.finish(guest, job, end);
  const isOnDisk = await outlivePowerCut(changes?.rewritten ?? [], guest.log);
  const defined = definitionAfter(job, end, changes);
  const was = diskOf(guest.live, job.disk);
  const merged = isOnDisk ? (changes?.merged ?? []) : [];
  if (merged.length > 0) {
    redefine(guest, (config) => defined(config, was));
    await removeMerged(merged, guest.log);
  }
  const chain = was && (await chainOf(changes?.live(was) ?? was, guest.log));
  // From here on nothing is awaited: the disk as it is now is the one that changes.
  writtenOrNot(guest, [job], () => {
    const before = diskOf(guest.live, job.disk);
    if (before && changes) guest.live = withDisk(guest.live, changes.live(before));
    forget(guest, job);
    guest.tell({
      kind: 'images',
      chains: { [job.disk]: chain },
      definition: (config) => (merged.length > 0 ? config : defined(config, before)),
      event: {
        class: 'block-job',
        type: end.kind,
        data: eventData(job, end),
        caused: guest.blockJobs.isAwaited(job.id),
      },
    });
  });
}

/** @returns from the definition as it is, and the live disk as it was until now */
const definitionAfter =
  (job: SavedJob, end: JobEnd, changes: Changes | undefined) =>
  (config: Domain, before: Disk | undefined): Domain => {
    if (job.defined) return end.kind === 'completed' ? config : withDisk(config, job.defined);
    const defined = diskOf(config, job.disk);
    const edit = changes?.definition;
    return edit && defined && before ? withDisk(config, edit(defined, before)) : config;
  };

/**
 * It never began: what was made for it goes, and so does what was held for it.
 * @param event where its command was answered without that being known: whoever holds images for it hears of it by this
 */
export async function withdraw(
  guest: QemuGuest,
  job: SavedJob,
  kind: JobKind | undefined,
  event: EventNews | undefined,
): Promise<void> {
  const changes = await kind?.finish(guest, job, { kind: 'failed' });
  const was = diskOf(guest.live, job.disk);
  const chain = was && (await chainOf(was, guest.log));
  writtenOrNot(guest, [job], () => {
    const disk = diskOf(guest.live, job.disk);
    if (disk && changes) guest.live = withDisk(guest.live, changes.live(disk));
    forget(guest, job);
    guest.tell({
      kind: 'images',
      chains: { [job.disk]: chain },
      definition: (config) => config,
      ...(event && { event }),
    });
  });
}

/** It is a job no longer, and what it had open goes back to whom it belongs. */
function forget(guest: QemuGuest, { id }: SavedJob): void {
  guest.saved.blockJobs = (guest.saved.blockJobs ?? []).filter((one) => one.id !== id);
  returnFiles(guest);
}

/** Its command was answered without that being known. */
export const neverBegan = (job: SavedJob): EventNews => ({
  ...{ class: 'block-job', type: 'failed', caused: false },
  data: eventData(job, { kind: 'failed', error: 'it never began: QEMU had not heard of it' }),
});

const eventData = ({ disk, type, path, mirror }: SavedJob, end?: JobEnd): Record<string, unknown> => ({
  ...{ disk, type },
  ...(path !== undefined && { path }),
  ...(mirror !== undefined && { mirror }),
  ...(end?.error !== undefined && { error: end.error }),
});

export const diskOf = ({ devices }: Domain, target: string): Disk | undefined =>
  devices.disks.find((disk) => disk.target.dev === target);

/** A copy of the domain in which this disk has taken the place of the one with its target. */
export function withDisk(domain: Domain, disk: Disk): Domain {
  const disks = domain.devices.disks.map((one) => (one.target.dev === disk.target.dev ? disk : one));
  return { ...domain, devices: { ...domain.devices, disks } };
}
