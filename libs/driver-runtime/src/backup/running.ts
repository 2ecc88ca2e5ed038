/**
 * The backup that runs on a domain, as the domain's job: from its command, or from when it is found again, until it has ended.
 * The job goes on when the command has its answer; meanwhile only what does not disturb it may work on the domain.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { beginBackup, isVirtError, VirtError, type JobInfo } from '@virtbus/shared';
import type { Actor } from '../actor';
import { againMs, letPendingGo, patienceMs, tellCameToNothing } from '../died-over';
import { facet, type BackupNews, type Guest } from '../driver';
import type { DriverHost } from '../host';
import type { DomainRecord } from '../record';
import type { RunningBackup } from './facet';

interface Job {
  slot: Disposable;
  info: JobInfo;
  began: number;
}

const running = new WeakMap<Actor, Job>();

/** @param slot the domain's asynchronous job; let go when the backup has ended */
export function backupRuns<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  slot: Disposable,
  { command, began }: Pick<RunningBackup, 'command' | 'began'>,
): void {
  const info: JobInfo = { type: 'bounded', operation: 'backup', commandId: command, elapsedMs: 0 };
  const abort = new AbortController();
  abort.signal.addEventListener('abort', () => void end(host, actor), { once: true });
  running.set(actor, { slot, info, began });
  actor.job = info;
  actor.abortJob = abort;
}

/** Brings what is known of its progress up to date. */
export async function refreshBackup<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  signal: AbortSignal,
): Promise<void> {
  const job = running.get(actor);
  if (!job || !actor.guest) return;
  const progress = await facet(host.implementation, 'backup').progress(actor.guest, signal);
  Object.assign(job.info, progress, { elapsedMs: Date.now() - job.began });
}

async function end<G extends Guest>(host: DriverHost<G>, actor: Actor<G>): Promise<void> {
  try {
    if (actor.guest) await facet(host.implementation, 'backup').abort(actor.guest);
  } catch (err) {
    const level = isVirtError(err) ? 'warn' : 'error';
    actor.log[level]({ err }, 'a backup cannot be told to end');
  }
}

/** It has ended, or its guest has. Told also for one that ended while nobody looked. */
export function backupEnded(actor: Actor, { outcome, total, processed, error }: BackupNews): void {
  const job = running.get(actor);
  const elapsedMs = job ? Date.now() - job.began : 0;
  const told = { type: outcome, total, processed, remaining: total - processed, ...(error !== undefined && { error }) };
  // First: what cannot be told has not happened yet, and is told again.
  actor.emit({
    class: 'job',
    type: outcome,
    data: { operation: 'backup', total, processed, ...(error !== undefined && { error }) },
    cause: null,
  });
  actor.lastJob = { operation: 'backup', ...job?.info, ...told, elapsedMs };
  dropJob(actor);
}

/** Its guest has ended, and the backup with it. */
export function backupGone(actor: Actor): void {
  const job = running.get(actor);
  if (!job) return;
  const { total = 0, processed = 0 } = job.info;
  backupEnded(actor, { kind: 'backup-ended', outcome: 'failed', total, processed, error: 'the guest has ended' });
}

function dropJob(actor: Actor): void {
  const job = running.get(actor);
  if (!job) return;
  running.delete(actor);
  actor.job = undefined;
  actor.abortJob = undefined;
  job.slot[Symbol.dispose]();
}

/**
 * After a restart of ours: the backup that goes on is the domain's job again, and its command has its answer. Of a hypervisor
 * that does not say whether it has begun, it is asked until it does; till then it is still the turn of that command.
 */
export async function findBackup<G extends Guest>(host: DriverHost<G>, actor: Actor<G>, guest: G): Promise<void> {
  const { pending: command } = actor.record;
  const found = await resumed(host, actor, guest);
  if (found === 'ended') return answer(actor, command);
  if (!found || !actor.active) return;
  const { operation } = beginBackup;
  const begun = { slot: await actor.jobs.async('backup', operation), command };
  if (found !== 'silent') return takeUp(host, actor, begun, found);
  actor.unsettled = { operation, command };
  later(host, actor, guest, begun).catch((err: unknown) => {
    actor.log.error({ err }, 'what became of a backup cannot be kept');
  });
}

interface Begun {
  slot: Disposable;
  /** That we died over. */
  command: DomainRecord['pending'];
}

function takeUp<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  { slot, command }: Begun,
  found: RunningBackup,
): void {
  backupRuns(host, actor, slot, found);
  if (command?.id === found.command) answer(actor, command);
}

/** The command that began it has done so. */
function answer(actor: Actor, command: DomainRecord['pending']): void {
  if (command?.operation === beginBackup.operation)
    actor.remember({ ...command, response: { domain: actor.summary() } });
}

async function later<G extends Guest>(host: DriverHost<G>, actor: Actor<G>, guest: G, begun: Begun): Promise<void> {
  const { slot, command } = begun;
  let found: Found = 'silent';
  while (found === 'silent') {
    await sleep(againMs, undefined, { ref: false });
    found = actor.guest === guest ? await resumed(host, actor, guest) : undefined;
  }
  actor.unsettled = undefined;
  if (typeof found === 'object') return takeUp(host, actor, begun, found);
  slot[Symbol.dispose]();
  letPendingGo(actor, command);
  if (found === 'ended') return answer(actor, command);
  // A transient domain is no more with its guest.
  if (host.find(actor.uuid) === actor) tellCameToNothing(actor, 'backup', command);
}

/** `ended`: it had begun, and its end has been told. `silent`: the hypervisor does not say. */
type Found = RunningBackup | 'ended' | 'silent' | undefined;

async function resumed<G extends Guest>(host: DriverHost<G>, actor: Actor<G>, guest: G): Promise<Found> {
  const late = AbortSignal.timeout(patienceMs);
  const { lastJob } = actor;
  try {
    const found = await host.implementation.facets.backup?.resume(guest, late);
    return found ?? (actor.lastJob === lastJob ? undefined : 'ended');
  } catch (err) {
    if (late.aborted || isVirtError(err, 'OPERATION_TIMEOUT')) return 'silent';
    // It could not be written down, as on a disk that is full.
    if (isVirtError(err, 'SYSTEM_ERROR')) return 'silent';
    actor.log.error({ err }, 'a backup that was begun cannot be taken up');
    return host.implementation.facets.backup?.running(guest);
  }
}

export const noBackup = (): VirtError => new VirtError('NO_DOMAIN_BACKUP', { detail: 'no domain backup job present' });
