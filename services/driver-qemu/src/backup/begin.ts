/** A backup begins: images are opened, and one transaction makes the checkpoint and begins to copy all disks. (facts: block-jobs §3.5) */
import { checkpointBitmap, diskNamed } from '@virtbus/domain-xml';
import { formatBackup } from '@virtbus/domain-xml/backup';
import type { BackupStart } from '@virtbus/driver-runtime';
import { nodesOf } from '../block-jobs/graph';
import type { BlockHost } from '../block-jobs/nodes';
import type { QemuGuest } from '../guest';
import { addImage } from '../new-image';
import { addExport, addressOf, startServer } from './nbd';
import { planDisks, planJob, withExports, type DiskPlan } from './plan';
import type { BackupJob } from './saved-backup';

export interface BackupHost extends BlockHost {
  /** Folder of the certificates of pulls that ask for TLS. */
  backupCertificates: string;
}

/** Whatever fails, nothing of it stays. */
export async function begin(
  host: BackupHost,
  guest: QemuGuest,
  start: BackupStart,
  signal: AbortSignal,
): Promise<void> {
  const plans = await planDisks(host, guest, start);
  const jobs = plans.map((plan) => planJob(guest, plan, start, start.images));
  const backup = withExports(start.backup);
  const server = backup.server && addressOf(backup.server);
  const certificates = backup.server?.tls ? host.backupCertificates : undefined;
  guest.saved.backup = {
    xml: formatBackup(backup, { stored: true }),
    command: start.command,
    began: Date.now(),
    begun: false,
    ...(server && { server, tls: certificates !== undefined }),
    disks: plans.map(({ asked, total }) => ({ disk: asked.name, exportName: asked.exportname ?? asked.name, total })),
  };
  const made: string[] = [];
  try {
    await guest.blockJobs.begin(jobs, async () => {
      for (const [at, job] of jobs.entries()) await openStore(host, guest, plans[at]!, job, start.reuse, signal);
      if (server) await startServer(guest, { addr: server, certificates }, signal);
      await guest.askRaw('transaction', { actions: actionsOf(host, guest, start, plans, jobs) }, signal);
      made.push(...markedBy(start));
    });
    await offer(host, guest, signal);
  } catch (error) {
    await giveUp(guest);
    for (const disk of made) await unmark(host, guest, disk, start.checkpoint!.name);
    throw error;
  }
}

/** The pull can be read, and the backup is one that others may hear of. Can be done again. */
export async function offer(host: BlockHost, guest: QemuGuest, signal: AbortSignal): Promise<void> {
  const { backup } = guest.saved;
  if (!backup) return;
  for (const job of backupJobs(guest)) {
    const { pull, store, bitmap } = job.details;
    const name = backup.disks.find(({ disk }) => disk === job.disk)?.exportName ?? job.disk;
    if (pull) await addExport(guest, { node: storeNode(host, guest, job), name, bitmap: bitmap?.name }, signal);
    guest.log.debug({ disk: job.disk, store: store.source }, 'a disk is being backed up');
  }
  backup.begun = true;
  guest.tellSaved();
}

/** Jobs that have begun are ended, nobody is told of the backup. */
async function giveUp(guest: QemuGuest): Promise<void> {
  const jobs = backupJobs(guest).filter(({ state }) => state === 'running' || state === 'new');
  for (const job of jobs) {
    // Listened to first: the end may be told before QEMU has answered.
    const ended = guest.blockJobs.until(job.id, [], AbortSignal.timeout(patienceMs));
    ended.catch(() => undefined);
    try {
      await guest.blockJobs.abort(job);
      await ended;
    } catch (err) {
      guest.log.warn({ err, job: job.id }, 'a backup that did not begin cannot be ended');
    }
  }
  guest.saved.backup = undefined;
  try {
    guest.tellSaved();
  } catch (err) {
    guest.log.warn({ err }, 'that a backup did not begin cannot be written down');
  }
}

/** The end of a job that cannot be written down, as on a disk that is full, keeps nobody waiting longer, milliseconds. */
const patienceMs = 10_000;

export const backupJobs = (guest: QemuGuest): BackupJob[] =>
  guest.blockJobs.jobs.filter((job): job is BackupJob => job.type === 'backup');

const storeNode = (host: BlockHost, guest: QemuGuest, { details }: BackupJob): string =>
  nodesOf(host, guest, details.store)[0]!;

/** The image that is written to; that of a pull stands on the disk as it is. */
async function openStore(
  host: BlockHost,
  guest: QemuGuest,
  { image, top }: DiskPlan,
  { details: { store, pull, made } }: BackupJob,
  reuse: boolean,
  signal: AbortSignal,
): Promise<void> {
  // A device is there already; an image is in it only where that is said.
  const isEmpty = made || (store.type === 'block' && !reuse);
  const make = isEmpty ? { capacity: image.capacity } : undefined;
  await addImage(host, guest, { disk: store, make, backing: pull ? top : null }, signal);
}

/** Disks whose writes are recorded from the backup's checkpoint on. */
const markedBy = ({ checkpoint }: BackupStart): string[] =>
  (checkpoint?.disks ?? []).filter((disk) => disk.checkpoint === 'bitmap').map(({ name }) => name);

/** The checkpoint of a backup that did not begin is none. */
async function unmark(host: BlockHost, guest: QemuGuest, target: string, name: string): Promise<void> {
  const [node = ''] = nodesOf(host, guest, diskNamed(guest.live, target));
  try {
    await guest.askRaw('block-dirty-bitmap-remove', { node, name });
  } catch (err) {
    guest.log.warn({ err, disk: target, bitmap: name }, 'the bitmap of a checkpoint that was not made stays');
  }
}

/** All of it happens at one moment, or nothing. */
function actionsOf(
  host: BlockHost,
  guest: QemuGuest,
  start: BackupStart,
  plans: readonly DiskPlan[],
  jobs: readonly BackupJob[],
): object[] {
  return [
    ...markedBy(start).flatMap((name) =>
      checkpointBitmap(nodesOf(host, guest, diskNamed(guest.live, name))[0]!, start.checkpoint!.name),
    ),
    ...plans.flatMap(({ bitmap }) => bitmap?.actions ?? []),
    ...jobs.map((job, at) => {
      const { top, bitmap } = plans[at]!;
      const { pull } = job.details;
      const incremental = bitmap !== undefined && !pull;
      const data = {
        'job-id': job.id,
        device: top,
        target: storeNode(host, guest, job),
        sync: pull ? 'none' : incremental ? 'incremental' : 'full',
        ...(incremental && { bitmap: bitmap.name }),
        'auto-finalize': true,
        'auto-dismiss': false,
      };
      return { type: 'blockdev-backup', data };
    }),
  ];
}
