/** Saving a guest's memory to a file and ending it. */
import { existsSync, rmSync } from 'node:fs';
import { parseDomain, warningText } from '@virtbus/domain-xml';
import {
  abortJob,
  getJob,
  isVirtError,
  managedSave,
  removeManagedSave,
  saveDomain,
  VirtError,
  type JobInfo,
} from '@virtbus/shared';
import { refreshBackup } from '../backup/running';
import { facet } from '../driver';
import { whileItRuns } from '../ended-meanwhile';
import { goOn } from '../go-on';
import { change, guestOf, look, op, type Context } from './op';
import { dropManagedSave } from './start';

const none: JobInfo = { type: 'none', operation: 'none', elapsedMs: 0 };

export const save = change(
  saveDomain,
  'active',
  async ({ path, xml, paused }, context) => {
    await saveTo(context, path, { xml, paused });
    return { domain: context.actor.summary() };
  },
  { async: 'save' },
);

export const saveManaged = change(
  managedSave,
  'active',
  async ({ paused }, context) => {
    const { host, actor } = context;
    if (!actor.record.persistent) {
      throw new VirtError('OPERATION_INVALID', { detail: 'cannot do managed save for transient domain' });
    }
    const path = host.store.managedSaveOf(actor.uuid);
    rmSync(path, { force: true }); // Of a save that came to nothing: the guest lives.
    await saveTo(context, path, { paused }, () => (actor.managedSave = true));
    return { domain: actor.summary() };
  },
  { async: 'save' },
);

export const dropManaged = change(removeManagedSave, 'any', async (_request, { host, actor }) => {
  const removed = actor.managedSave;
  dropManagedSave(host, actor);
  if (removed) actor.emit({ class: 'config', type: 'managed-save', data: { exists: false } });
  return { domain: actor.summary(), removed };
});

/**
 * Pause, write, end. When the writing fails the guest runs on as before and no file is left but one that was there.
 */
async function saveTo(
  { host, actor, call }: Context,
  path: string,
  how: { xml?: string | undefined; paused?: boolean | undefined },
  written: () => void = () => undefined,
): Promise<void> {
  const facility = facet(host.implementation, 'save');
  const guest = guestOf(actor);
  facility.check?.(guest);
  const wasRunning = actor.record.state === 'running';
  const given = how.xml ? parseDomain(how.xml, { mode: 'inactive', unknown: 'warn' }) : undefined;
  const domain = given?.domain ?? actor.live ?? actor.document;
  if (domain.uuid !== actor.uuid)
    throw new VirtError('INVALID_ARG', { detail: 'the document given is of another domain' });
  actor.warnIgnored((given?.warnings ?? []).map(warningText));
  const abort = new AbortController();
  const signal = AbortSignal.any([call.signal, abort.signal]);
  const existed = existsSync(path);
  const began = Date.now();
  const job: JobInfo = { type: 'unbounded', operation: 'save', commandId: call.id, elapsedMs: 0 };
  actor.job = job;
  actor.abortJob = abort;
  try {
    const image = { path, domain, running: how.paused === undefined ? wasRunning : !how.paused };
    const saving = { signal, progress: (p: object) => Object.assign(job, p, { elapsedMs: Date.now() - began }) };
    await whileItRuns(actor, 'it was saved', async () => {
      if (wasRunning) await guest.suspend('save', signal);
      await facility.save(guest, image, saving);
    });
    // What the guest never touched was not written: the total of a finished job is what was.
    const processed = job.processed ?? 0;
    const done = { total: processed, processed, remaining: 0 };
    actor.lastJob = { ...job, ...done, type: 'completed', elapsedMs: Date.now() - began };
  } catch (thrown) {
    actor.lastJob = { ...job, type: signal.aborted ? 'cancelled' : 'failed', elapsedMs: Date.now() - began };
    if (!existed) rmSync(path, { force: true });
    if (wasRunning && actor.guest) {
      const { record } = actor;
      await goOn(guest, 'save-canceled', actor.log, () => {
        return actor.guest === guest && !actor.job && (record.state === 'running' || record.reason === 'save');
      });
    }
    throw abort.signal.aborted && isVirtError(abort.signal.reason) ? abort.signal.reason : thrown;
  } finally {
    actor.job = undefined;
    actor.abortJob = undefined;
  }
  written();
  await actor.endGuest({ graceful: false, reason: 'saved', detail: 'saved' });
}

export const job = look(getJob, 'any', async ({ completed }, { host, actor, call }) => {
  if (!completed) await refreshBackup(host, actor, call.signal);
  return { job: (completed ? actor.lastJob : actor.job) ?? none };
});

export const abort = op({
  contract: abortJob,
  needs: 'active',
  job: 'abort',
  once: true,
  run: async (_request, { actor }) => {
    if (actor.starting) {
      throw new VirtError('OPERATION_INVALID', { detail: 'cannot abort VM start; use destroy instead' });
    }
    if (!actor.abortJob) throw new VirtError('OPERATION_INVALID', { detail: 'no job is active on the domain' });
    actor.abortJob.abort(
      new VirtError('OPERATION_ABORTED', { detail: `${actor.job?.operation ?? 'the job'} was aborted` }),
    );
    return {};
  },
});
