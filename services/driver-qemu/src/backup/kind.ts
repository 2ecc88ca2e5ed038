/** The end of a disk's part in a backup, and of the backup with the last of them. */
import { rmSync } from 'node:fs';
import { bitmapAt } from '@virtbus/domain-xml';
import { nodesOf, removalOf } from '../block-jobs/graph';
import type { JobEnd } from '../block-jobs';
import type { JobKind } from '../block-jobs/kind';
import { imagesIn, removeNodes, type BlockHost } from '../block-jobs/nodes';
import { writtenOrNot } from '../block-jobs/written';
import type { QemuGuest } from '../guest';
import { endCreation } from '../new-image';
import { backupJobs } from './begin';
import { stopServer } from './nbd';
import type { BackupJob } from './saved-backup';

export function backupKind(host: BlockHost): JobKind {
  return {
    // What QEMU no longer knows was not seen to its end.
    happened: () => Promise.resolve(false),
    finish: async (guest, saved, end) => {
      const job = saved as BackupJob;
      const { store, pull, bitmap, made } = job.details;
      if (made && job.state === 'new') await endCreation(guest, nodesOf(host, guest, store)[0]!);
      if (pull) await stopServer(guest);
      await removeNodes(guest, removalOf(host, guest, store, 0, 1));
      if (bitmap && bitmapAt(await imagesIn(guest), bitmap.node, bitmap.name))
        await guest.askRaw('block-dirty-bitmap-remove', bitmap);
      if (end.kind !== 'completed' || pull) removeStore(job);
      // Kept before the job is gone: when the last one is, all ends are known. What QEMU has never run has none.
      const part = guest.saved.backup?.disks.find(({ disk }) => disk === job.disk);
      if (part && job.state !== 'new') part.end = end;
      return undefined;
    },
    afterwards: (guest, _job, end) => partEnded(guest, end),
  };
}

/** What a pull kept meanwhile is of no use any more; neither is a copy that is not whole. */
function removeStore({ details: { store, made } }: BackupJob): void {
  if (made && store.source?.file !== undefined) rmSync(store.source.file, { force: true });
}

/** One disk that cannot go on ends the others; with the last one the backup has ended. */
async function partEnded(guest: QemuGuest, end: JobEnd): Promise<void> {
  if (!guest.saved.backup) return;
  if (end.kind !== 'completed') await endOthers(guest);
  tellEnd(guest);
}

export async function endOthers(guest: QemuGuest): Promise<void> {
  for (const job of backupJobs(guest)) {
    if (job.state !== 'new' && job.state !== 'running') continue;
    await guest.blockJobs.abort(job).catch((err: unknown) => {
      guest.log.warn({ err, job: job.id }, 'the other disks of a backup cannot be told to end');
    });
  }
}

/** Told when no disk is copied any more. A pull ends by being told to. */
export function tellEnd(guest: QemuGuest): void {
  const { backup } = guest.saved;
  if (!backup?.begun || backupJobs(guest).length > 0) return;
  const ends = backup.disks.map(({ end }) => end);
  const failed = backup.failed === undefined ? ends.find((end) => end?.kind === 'failed') : { error: backup.failed };
  const canceled = ends.some((end) => end?.kind === 'canceled');
  const total = backup.disks.reduce((sum, disk) => sum + disk.total, 0);
  const done = backup.disks.filter(({ end }) => end?.kind === 'completed');
  const processed = backup.server ? total : done.reduce((sum, disk) => sum + disk.total, 0);
  writtenOrNot(guest, [], () => {
    guest.saved.backup = undefined;
    guest.tell({
      kind: 'backup-ended',
      outcome: failed ? 'failed' : canceled && !backup.server ? 'cancelled' : 'completed',
      total,
      processed,
      ...(failed?.error !== undefined && { error: failed.error }),
    });
  });
}

/** The guest is gone, and its backup with it: what was made for it goes too. */
export function removeLeftBackup({ blockJobs = [], backup }: QemuGuest['saved']): void {
  for (const job of blockJobs) if (job.type === 'backup') removeStore(job as BackupJob);
  if (backup?.server?.type === 'unix') rmSync(backup.server.data.path, { force: true });
}
