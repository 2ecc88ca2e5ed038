/**
 * What QEMU's word on a job means, given what we know of it.
 *
 *   new ─▶ running ─▶ ready ─▶ pivoting | aborting ─▶ concluded
 *             └──────▶ pending ─▶ …                      ▲
 *             └──────────────────────────────────────────┘
 *
 * A job that we finalize is held as `pending` between its work and its end. Of a mirror the guest's writes wait then, and source
 * and target are alike and flushed; of a pull nothing waits, and QEMU's nodes may still be asked for (node-turns.ts). Only ready, pending and concluded are acted on. A job blips (ready → standby → ready) when its node is drained, and may be
 * ready, even concluded, before the command that began it is answered. (facts: block-jobs §2)
 */
import type { JobEnd, SavedJob } from './saved-job';
import { hasTwoPhases } from './saved-job';

export type Step = 'ready' | 'pending' | 'concluded';

/** The state that a word of QEMU's brings the job into; undefined when it is noise. */
export function stepOf(job: Pick<SavedJob, 'state' | 'finalizedByUs'>, status: string): Step | undefined {
  const working = job.state === 'new' || job.state === 'running';
  if (status === 'ready') return working ? 'ready' : undefined;
  if (status === 'pending') return job.finalizedByUs && job.state !== 'concluded' ? 'pending' : undefined;
  if (status === 'concluded') return job.state === 'concluded' ? undefined : 'concluded';
  return undefined;
}

/** QEMU's error for a job that was cancelled. */
const canceled = 'Operation canceled';

/**
 * How a concluded job ended. Pivot and cancel of a ready job look the same in QEMU, so what we asked for decides;
 * undefined when nobody has asked us: then the graph has to be looked at.
 * @param error QEMU's; absent means success
 */
export function endOf(job: Pick<SavedJob, 'state' | 'type'>, error: string | undefined): JobEnd | undefined {
  if (error === canceled) return { kind: 'canceled' };
  if (error !== undefined) return { kind: 'failed', error };
  if (!hasTwoPhases(job) || job.state === 'pivoting') return { kind: 'completed' };
  return job.state === 'aborting' ? { kind: 'canceled' } : undefined;
}
