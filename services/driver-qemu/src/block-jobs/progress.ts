/** How far a job is, as libvirt counts it. (facts: block-jobs §3.6) */
import type { BlockJob } from '@virtbus/shared';
import type { BlockJobInfo } from '../qmp';
import type { SavedJob } from './saved-job';

export function withoutProgress({ id, type, disk, state, path, mirror, command }: SavedJob): BlockJob {
  return {
    ...{ id, type, disk, state, processed: 0, total: 0, bandwidth: 0 },
    ...(path !== undefined && { path }),
    ...(mirror !== undefined && { mirror }),
    ...(command !== undefined && { command }),
  };
}

/** A job that is not ready is never shown as done: what it has still to do QEMU may not have counted yet. */
export function progressOf(job: SavedJob, told: BlockJobInfo | undefined): BlockJob {
  const shown = withoutProgress(job);
  if (!told) return shown;
  const { offset, len, speed, ready } = told;
  if (offset === 0 && len === 0) return { ...shown, processed: ready ? 1 : 0, total: 1, bandwidth: speed };
  const processed = !ready && offset === len ? offset - 1 : offset;
  return { ...shown, processed, total: len, bandwidth: speed };
}
