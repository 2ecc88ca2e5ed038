/** Saving the guest's memory, and reading what a save image holds. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { formatDomain } from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { isVirtError, VirtError } from '@virtbus/shared';
import { activateImages } from '../activate-images';
import type { QemuGuest } from '../guest';
import { saveMemory } from '../process';
import type { RunUser } from '../run-user';
import { finish, readSaveImage, writeHeader } from '../save-image';
import { refuseWrittenOut } from '../written-out';

export function saveFacet(user: RunUser | undefined): NonNullable<Facets<QemuGuest>['save']> {
  return {
    check: (guest) => guest.blockJobs.refuseActive(),
    save: async (guest, image, { signal, progress }) => {
      await refuseWrittenOut(guest, signal);
      const xml = formatDomain(image.domain, { view: 'live', secrets: true, migratable: true });
      const total = guest.live.memory.kib * 1024;
      try {
        await using file = await open(image.path, 'wx', 0o600);
        const start = await writeHeader(file, xml, image.running);
        await saveMemory(guest.monitor, file, {
          socketPath: join(guest.folders.run, 'save.sock'),
          start,
          ...(user ? { user } : {}),
          signal,
          onProgress: (processed) => progress({ total, processed, remaining: Math.max(0, total - processed) }),
        });
        await finish(file, signal);
      } catch (thrown) {
        // One that was paused before stays so.
        await activateImages(guest, user);
        throw signal.aborted && isVirtError(signal.reason) ? signal.reason : saveError(thrown, image.path);
      }
    },
    // One that was paused before stays so.
    livesOn: (guest) => activateImages(guest, user),
    inspect: async (path) => {
      const { xml, running } = await readSaveImage(path);
      return { xml, running };
    },
  };
}

function saveError(thrown: unknown, path: string): VirtError {
  if (isVirtError(thrown)) return thrown;
  const { code, message } = thrown as NodeJS.ErrnoException;
  const why: Record<string, string> = {
    EEXIST: 'it exists already',
    ENOSPC: 'no space left on the device',
    EACCES: 'permission denied',
    ENOENT: 'its folder does not exist',
  };
  const detail = `cannot save to ${path}: ${(code && why[code]) ?? message}`;
  return new VirtError('OPERATION_FAILED', { detail }, { cause: thrown });
}
