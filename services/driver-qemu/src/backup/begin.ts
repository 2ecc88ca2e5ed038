/** A backup begins: images are opened, and one transaction makes the checkpoint and begins to copy all disks. (facts: block-jobs §3.5) */
import { checkpointBitmap, diskNamed, imageCreation, imageNodes } from '@virtbus/domain-xml';
import { formatBackup } from '@virtbus/domain-xml/backup';
import type { BackupStart } from '@virtbus/driver-runtime';
import { lendFiles } from '../block-jobs/files';
import { nodesOf } from '../block-jobs/graph';
import { addNodes, nodeNames, nodeSource, type BlockHost } from '../block-jobs/nodes';
import type { QemuGuest } from '../guest';
import { runJob } from '../short-job';
import { addExport, addressOf, startServer } from './nbd';
import { planDisks, planJob, type DiskPlan } from './plan';
import type { BackupJob } from './saved-backup';

/** Whatever fails, nothing of it stays. */
export async function begin(host: BlockHost, guest: QemuGuest, start: BackupStart, signal: AbortSignal): Promise<void> {
  const plans = await planDisks(host, guest, start);
  const taken = numbersOf(await nodeNames(guest));
  const jobs = plans.map((plan) => planJob(guest, plan, start, start.images, taken));
  const { backup } = start;
  const server = backup.server && addressOf(backup.server);
  guest.saved.backup = {
    xml: formatBackup(backup, { stored: true }),
    command: start.command,
    began: Date.now(),
    begun: false,
    ...(server && { server }),
    disks: plans.map(({ asked, total }) => ({ disk: asked.name, exportName: asked.exportname ?? asked.name, total })),
  };
  try {
    await guest.blockJobs.begin(jobs, async () => {
      for (const [at, job] of jobs.entries()) await openStore(host, guest, plans[at]!, job, signal);
      if (server) await startServer(guest, server, signal);
      await guest.askRaw('transaction', { actions: actionsOf(host, guest, start, plans, jobs) }, signal);
    });
    await offer(host, guest, signal);
  } catch (error) {
    await giveUp(guest);
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
    const ended = guest.blockJobs.until(job.id, []);
    ended.catch(() => undefined);
    try {
      await guest.blockJobs.abort(job);
      await ended;
    } catch (err) {
      guest.log.warn({ err, job: job.id }, 'a backup that did not begin cannot be ended');
    }
  }
  guest.saved.backup = undefined;
  guest.tellSaved();
}

export const backupJobs = (guest: QemuGuest): BackupJob[] =>
  guest.blockJobs.jobs.filter((job): job is BackupJob => job.type === 'backup');

const storeNode = (host: BlockHost, guest: QemuGuest, { details }: BackupJob): string =>
  nodesOf(host, guest, details.store)[0]!;

/** Numbers of images that QEMU has, so that none gets the name of another. */
const numbersOf = (names: ReadonlySet<string>): Set<number> =>
  new Set([...names].flatMap((name) => /^libvirt-(\d+)-/.exec(name)?.[1] ?? []).map(Number));

/** The image that is written to; that of a pull stands on the disk as it is. */
async function openStore(
  host: BlockHost,
  guest: QemuGuest,
  { image, top }: DiskPlan,
  { details: { store, pull, made }, files }: BackupJob,
  signal: AbortSignal,
): Promise<void> {
  lendFiles(guest, host.user, files, 'write');
  guest.tellSaved();
  const source = nodeSource(host, guest);
  const { layers, storage, format } = imageNodes(source, store, 0, { backing: pull ? top : null });
  const isRaw = store.driver?.type === 'raw';
  const choices = { capacity: image.capacity, ...(isRaw && { physical: image.capacity }) };
  const creation = imageCreation(source, store, 0, choices);
  const makes = made || store.type === 'block';
  const make = async (options: object | undefined): Promise<void> => {
    if (options) await runJob(guest, 'blockdev-create', { 'job-id': `create-${layers.top}`, options }, signal);
  };
  if (made && isRaw) await make(creation.protocol);
  await addNodes(guest, storage, signal);
  if (makes) await make(creation.format);
  await addNodes(guest, format, signal);
}

/** All of it happens at one moment, or nothing. */
function actionsOf(
  host: BlockHost,
  guest: QemuGuest,
  { checkpoint }: BackupStart,
  plans: readonly DiskPlan[],
  jobs: readonly BackupJob[],
): object[] {
  const marked = checkpoint?.disks.filter((disk) => disk.checkpoint === 'bitmap') ?? [];
  return [
    ...marked.flatMap(({ name, bitmap }) =>
      checkpointBitmap(nodesOf(host, guest, diskNamed(guest.live, name))[0]!, bitmap ?? ''),
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
