/**
 * What an end of a job leaves must be right after a power cut, too: QEMU has not waited for the disk over the header that names another
 * image below. Until that is there, and the definition, what was merged is what they would lead to.
 */
import { open, rm } from 'node:fs/promises';
import type { Log } from '@virtbus/shared/log';

/** @param paths of files. @returns false when one of them cannot be brought to disk, which is logged */
export async function outlivePowerCut(paths: readonly string[], log: Log): Promise<boolean> {
  const done = await Promise.allSettled(paths.map(flush));
  for (const [at, one] of done.entries()) {
    if (one.status === 'rejected')
      log.warn(
        { err: one.reason as unknown, path: paths[at] },
        'what a block job has changed cannot be brought to disk; images that it has merged stay',
      );
  }
  return done.every(({ status }) => status === 'fulfilled');
}

async function flush(path: string): Promise<void> {
  // Whoever has written to it, as QEMU has: it is the file that is brought to disk.
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Merged images are of no use any longer; one that cannot be removed is a warning. The definition does not name them by now.
 * @param paths of theirs
 */
export async function removeMerged(paths: readonly string[], log: Log): Promise<void> {
  for (const path of paths) {
    await rm(path, { force: true }).catch((err: unknown) => {
      log.warn({ err, path }, 'a merged image cannot be removed');
    });
  }
}
