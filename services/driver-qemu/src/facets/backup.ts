/** Backups of a running guest: begun, asked for, told to end. */
import { parseBackup } from '@virtbus/domain-xml/backup';
import type { Facets, RunningBackup } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { begin, backupJobs, offer, type BackupHost } from '../backup/begin';
import { endOthers, tellEnd } from '../backup/kind';
import { planDisks } from '../backup/plan';
import { stopServer } from '../backup/nbd';
import { showCertificates } from '../certificates';
import type { QemuGuest } from '../guest';
import { isClosed, isRefusal } from '../monitor-failure';

export function backupFacet(host: BackupHost): NonNullable<Facets<QemuGuest>['backup']> {
  return {
    check: async (guest, ask) => {
      if (ask.backup.server?.tls) showCertificates(host.backupCertificates, 'server');
      await planDisks(host, guest, ask);
    },
    begin: (guest, start, signal) => begin(host, guest, start, signal),
    running,
    resume: async (guest, signal) => {
      const { backup } = guest.saved;
      if (backup && !backup.begun) {
        const jobs = backupJobs(guest);
        const { name } = guest.live;
        if (jobs.some(({ state }) => state === 'new'))
          throw new VirtError('OPERATION_TIMEOUT', {
            detail: `QEMU of '${name}' does not say what became of a backup`,
          });
        // They may all have ended since.
        if (jobs.length > 0 || backup.disks.some(({ end }) => end)) await offerOrFail(host, guest, signal);
        else guest.saved.backup = undefined; // It never began.
      }
      if (backup?.failed !== undefined) await end(guest);
      tellEnd(guest);
      return running(guest);
    },
    progress: async (guest, signal) => {
      const { backup } = guest.saved;
      const told = await guest.blockJobs.list(signal);
      const parts = (backup?.disks ?? []).map(({ disk, total, end }) => {
        const job = told.find((one) => one.type === 'backup' && one.disk === disk);
        return job && !end ? { total: job.total, processed: job.processed } : { total, processed: total };
      });
      const total = parts.reduce((sum, part) => sum + part.total, 0);
      const processed = parts.reduce((sum, part) => sum + part.processed, 0);
      return { total, processed, remaining: Math.max(0, total - processed) };
    },
    abort: (guest) => end(guest),
  };
}

/** What nobody can read is of no use, and would never end. That it has failed is on disk before it is ended. */
async function offerOrFail(host: BackupHost, guest: QemuGuest, signal: AbortSignal): Promise<void> {
  try {
    await offer(host, guest, signal);
  } catch (err) {
    const { backup } = guest.saved;
    if (isClosed(err)) throw new VirtError('OPERATION_TIMEOUT', { detail: (err as VirtError).message }, { cause: err });
    if (!isRefusal(err) || !backup) throw err;
    guest.log.error({ err }, 'a backup that was begun cannot be read: it is ended');
    Object.assign(backup, { begun: true, failed: (err as VirtError).message });
    guest.tellSaved();
  }
}

async function end(guest: QemuGuest): Promise<void> {
  if (guest.saved.backup?.server) await stopServer(guest);
  await endOthers(guest);
}

function running({ saved: { backup } }: QemuGuest): RunningBackup | undefined {
  if (!backup) return undefined;
  const { xml, command, began } = backup;
  return { backup: parseBackup(xml, { stored: true }), command, began };
}
