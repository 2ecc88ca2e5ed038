/**
 * What is known of a job changes in memory and on disk, or in neither: where nothing can be written, as on a disk that is full, no
 * job stays that never began, and none is forgotten whose end nobody has been told.
 */
import type { QemuGuest } from '../guest';
import type { SavedJob } from './saved-job';

/** @param change changes guest and jobs, and writes that; when it throws both are as they were before */
export function writtenOrNot(guest: QemuGuest, jobs: readonly SavedJob[], change: () => void): void {
  const { live } = guest;
  const takeBack = [guest.saved, ...jobs].map(keep);
  try {
    change();
  } catch (error) {
    guest.live = live;
    for (const put of takeBack) put();
    throw error;
  }
}

/** @returns makes it what it is now */
function keep(one: object): () => void {
  const before = { ...one };
  return () => {
    for (const key of Object.keys(one)) if (!(key in before)) delete (one as Record<string, unknown>)[key];
    Object.assign(one, before);
  };
}
