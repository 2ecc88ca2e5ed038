/**
 * After a restart: find every guest that ran, and tell what happened to it meanwhile. No guest is touched but one whose
 * start we never finished and that has not run an instruction.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  resumedDetail,
  revertSnapshot,
  suspendedDetail,
  VirtError,
  type DomainState,
  type ReasonOf,
} from '@virtbus/shared';
import { meter, metrics } from '@virtbus/shared/metrics';
import type { Actor } from './actor';
import type { Cause } from './telling';
import { findBackup } from './backup/running';
import { recoverMaking } from './checkpoints/making';
import type { Guest, Reattached } from './driver';
import { goOn } from './go-on';
import { reasonOf, type DriverHost } from './host';
import { keptDisks } from './images';
import { letGoOfLeft } from './left-needs';
import { dropManagedSave, startDefined } from './ops/start';
import { recover } from './snapshots/unfinished';

/** Guests are looked for side by side: one that hangs keeps none of the others waiting. */
export async function adopt<G extends Guest>(host: DriverHost<G>, actors: readonly Actor<G>[]): Promise<void> {
  await Promise.all(
    actors.map(async (actor) => {
      await adoptOne(host, actor);
      if (!actor.unsettled) actor.toldAhead = [];
    }),
  );
  const adopted = actors.filter((actor) => actor.guest).length;
  host.log.info({ domains: actors.length, adopted }, 'domains are back');
}

async function adoptOne<G extends Guest>(host: DriverHost<G>, actor: Actor<G>): Promise<void> {
  actor.managedSave = host.store.hasManagedSave(actor.uuid, host.ofEarlierBoot.has(actor));
  if (!actor.active) {
    await recover(host, actor, undefined);
    const { pending, persistent, incoming } = actor.record;
    // What it was to bring about is so.
    if (pending?.operation === 'destroy' || (pending?.operation === 'undefine' && !persistent)) {
      actor.remember({ ...pending, response: { domain: actor.summary() } });
    }
    actor.record.pending = undefined;
    // Its last event was journaled, and we died before its folder was gone. One that was to come lives elsewhere.
    if (!persistent && incoming === undefined) host.gone(actor);
    return;
  }
  const { id, guest: saved } = actor.record;
  const before = actor.state;
  try {
    const found = await host.implementation.reattach({
      uuid: actor.uuid,
      id,
      domain: actor.document,
      folders: actor.folders,
      saved,
      state: before,
      sink: actor.listener(),
      log: actor.log,
    });
    meter.count(metrics.adopted, { outcome: found.kind });
    if (found.kind === 'gone') {
      await recover(host, actor, undefined);
      // It has run, or may have: to restore what it was before would be to go back in time under its disks.
      if (before.state === 'running' || actor.record.goesOn) dropManagedSave(host, actor);
      ended(host, actor, before, found);
    } else await alive(host, actor, before, found);
  } catch (err) {
    actor.log.error({ err }, 'cannot find out about a guest; it stays as it was last known');
  }
}

function ended<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  before: DomainState,
  found: Reattached<G> & { kind: 'gone' },
): void {
  const { pending } = actor.record;
  actor.record.pending = undefined;
  if (before.reason === 'starting-up') return unborn(host, actor, pending?.operation);
  if (pending?.operation !== 'destroy') {
    const { reason, detail } = actor.record.ending ?? (before.state === 'shutdown' ? poweredOff : found);
    actor.hear({ kind: 'ended', to: { state: 'shutoff', reason }, detail, data: found.data });
    if (isSave(pending) && reason === 'saved') actor.remember({ ...pending, response: { domain: actor.summary() } });
    return;
  }
  // We died after cutting its power: the end is that command's, and so is the answer.
  actor.record.asked = pending.id;
  actor.hear({ kind: 'ended', to: { state: 'shutoff', reason: 'destroyed' }, detail: 'destroyed', data: found.data });
  actor.remember({ ...pending, response: { domain: actor.summary() } });
}

const isSave = (pending: Cause | undefined): pending is Cause =>
  pending?.operation === 'save' || pending?.operation === 'managed-save';

/** It had told that it shut down; only its process was there still. */
const poweredOff = { reason: 'shutdown', detail: 'shutdown' } as const;

/**
 * It never ran: there is nothing to tell, and the command that asked for it can be given again. But a transient domain that
 * was on its way back to a snapshot has run before.
 */
function unborn<G extends Guest>(host: DriverHost<G>, actor: Actor<G>, operation: string | undefined): void {
  actor.shutOff({ state: 'shutoff', reason: 'failed' });
  if (actor.record.persistent) return actor.persist();
  if (operation !== revertSnapshot.operation) return host.discard(actor);
  actor.lifecycle('stopped', 'failed', null);
  host.gone(actor);
}

async function alive<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  before: DomainState,
  { guest, state }: Reattached<G> & { kind: 'alive' },
): Promise<void> {
  if (!actor.active) return; // It ended while we were looking: its end has been told.
  actor.guest = guest;
  actor.record.ending = undefined;
  try {
    actor.setSaved(guest.saved);
    actor.setLive(guest.live);
  } catch (err) {
    actor.log.warn({ err }, 'what was found of a guest cannot be written yet');
    host.staysBehind(actor);
  }
  const begun = (await guest.catchUp?.()) ?? [];
  await recover(host, actor, guest);
  await recoverMaking(host, actor, guest);
  await findBackup(host, actor, guest);
  if (!actor.active) return;
  await letGoOfLeft(host, actor, guest);
  const { pending } = actor.record;
  const cause = pending ?? null;
  if (before.reason === 'starting-up' && state.state !== 'running') {
    actor.starting = new AbortController();
    await guest.destroy({ graceful: false, reason: 'failed', detail: 'failed' }).finally(() => {
      actor.starting = undefined;
    });
    actor.record.pending = undefined;
    return unborn(host, actor, pending?.operation);
  }
  const restored = actor.managedSave || pending?.operation === 'restore';
  // The guest lives, so a managed save image is of its past: consumed by its start, or of a save that we died in.
  dropManagedSave(host, actor);
  if (isSave(pending)) await Promise.race([host.implementation.facets.save?.livesOn?.(guest), patience()]);
  if (before.reason === 'starting-up') {
    actor.enter({ state: 'running', reason: 'booted' });
    actor.lifecycle('resumed', 'unpaused', cause);
    actor.lifecycle('started', 'booted', cause);
    for (const type of host.implementation.taints?.(guest.live) ?? []) actor.taint(type, cause);
  } else if (state.state !== before.state) {
    const now = restored && state.state === 'running' ? ({ state: 'running', reason: 'restored' } as const) : state;
    actor.enter(now);
    // Of one that is on its way here its migration tells.
    if (actor.record.incoming !== undefined) actor.persist();
    else if (now.state === 'running') actor.lifecycle('resumed', resumedDetail(now.reason), cause);
    else if (state.state === 'paused') actor.lifecycle('suspended', suspendedDetail(state.reason), cause);
    else if (state.state === 'crashed') actor.lifecycle('crashed', 'panicked', null);
    else actor.persist();
  }
  const { goesOn: isToRun } = actor.record;
  if (isToRun && actor.record.state === 'paused') {
    await letGoOn(
      actor,
      guest,
      pending?.operation === revertSnapshot.operation ? 'from-snapshot' : 'restored',
      pending,
    );
  }
  actor.record.goesOn = undefined;
  const job = begun.find(({ command }) => command !== undefined && command === pending?.id);
  if (pending && job) actor.remember({ ...pending, response: { domain: actor.summary(), job } });
  if (pending && done(pending.operation, actor)) {
    const warnings = pending.operation === 'create' ? { warnings: [] } : {};
    actor.remember({ ...pending, response: { domain: actor.summary(), ...warnings } });
  }
  // Whose end is not known yet is still being applied.
  if (actor.unsettled === undefined) actor.record.pending = undefined;
  actor.persist();
  if (state.state !== 'paused') return;
  if (before.reason === 'save') await letGoOn(actor, guest, 'save-canceled');
  if (before.reason === 'snapshot') await letGoOn(actor, guest, 'unpaused');
}

/** We paused it, or had not let it run yet, and died over it: the guest goes on. */
async function letGoOn(actor: Actor, guest: Guest, reason: ReasonOf<'running'>, cause?: Cause): Promise<void> {
  const { reason: why } = actor.record;
  const isPaused = (): boolean =>
    actor.guest === guest && actor.record.state === 'paused' && actor.record.reason === why;
  const resume = (): Promise<void> => goOn(guest, reason, actor.log, isPaused, resumeMs);
  await (cause ? actor.as(cause, resume) : resume());
}

/** How long a guest may take to obey, so that one that hangs keeps nobody waiting, milliseconds. */
const resumeMs = 5_000;

const patience = (): Promise<void> => sleep(resumeMs);

/** Has the command that we died in had its effect? What can't be told is left to be given again. */
function done(operation: string, actor: Actor): boolean {
  const wanted: Record<string, DomainState['state']> = {
    start: 'running',
    create: 'running',
    restore: 'running',
    resume: 'running',
    suspend: 'paused',
  };
  return wanted[operation] === actor.record.state;
}

/** Start what is marked for it, when the host itself has booted since; what an earlier process did not get to, too. */
export async function autostart(host: DriverHost): Promise<void> {
  for (const actor of host.dueToStart()) {
    // One that the kernel holds keeps nobody else from starting.
    await Promise.race([startByItself(host, actor), sleep(autostartMs + graceMs, undefined, { ref: false })]);
  }
}

async function startByItself(host: DriverHost, actor: Actor): Promise<void> {
  // Nobody knows whether it lives here.
  if (actor.handedOver) return;
  try {
    if (actor.jobs.busy) {
      host.awaited.add(actor.uuid);
      actor.log.info('autostart waits for the migration of the domain');
      return;
    }
    using _job = await actor.jobs.async('start', 'autostart');
    const disks = await keptDisks(host, actor);
    if (!disks) {
      host.awaited.add(actor.uuid);
      actor.log.info('autostart waits for storage');
      return;
    }
    await startDefined(host, actor, { paused: false, disks, signal: AbortSignal.timeout(autostartMs) });
  } catch (thrown) {
    const error = VirtError.from(thrown);
    actor.log.error({ reason: reasonOf(error) }, 'autostart failed');
    host.startedOnce(actor);
  }
}

/** For one domain, and for its process to be gone when that was too long, milliseconds. */
const autostartMs = 60_000;
const graceMs = 5_000;
