/**
 * After a restart: find every guest that ran, and tell what happened to it meanwhile. No guest is touched but one whose
 * start we never finished and that has not run an instruction.
 */
import { existsSync } from 'node:fs';
import { resumedDetail, suspendedDetail, VirtError, type DomainState } from '@virtbus/shared';
import type { Actor } from './actor';
import type { Guest, Reattached } from './driver';
import { reasonOf, type DriverHost } from './host';
import { boot } from './ops/start';

/** Guests are looked for side by side: one that hangs keeps none of the others waiting. */
export async function adopt<G extends Guest>(host: DriverHost<G>, actors: readonly Actor<G>[]): Promise<void> {
  await Promise.all(actors.map((actor) => adoptOne(host, actor)));
  const adopted = actors.filter((actor) => actor.guest).length;
  host.log.info({ domains: actors.length, adopted }, 'domains are back');
}

async function adoptOne<G extends Guest>(host: DriverHost<G>, actor: Actor<G>): Promise<void> {
  actor.managedSave = existsSync(host.store.managedSaveOf(actor.uuid));
  if (!actor.active) {
    actor.record.pending = undefined;
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
      sink: actor.hear,
      log: actor.log,
    });
    if (found.kind === 'gone') ended(host, actor, before, found);
    else await alive(host, actor, before, found);
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
  const unborn = before.reason === 'starting-up';
  if (unborn) {
    actor.record.pending = undefined;
    actor.shutOff({ state: 'shutoff', reason: 'failed' });
    if (!actor.record.persistent) host.discard(actor);
    return;
  }
  actor.hear({ kind: 'ended', to: { state: 'shutoff', reason: found.reason }, detail: found.detail });
}

async function alive<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  before: DomainState,
  { guest, state }: Reattached<G> & { kind: 'alive' },
): Promise<void> {
  if (!actor.active) return; // It ended while we were looking: its end has been told.
  actor.guest = guest;
  actor.setSaved(guest.saved);
  actor.setLive(guest.live);
  const { pending } = actor.record;
  const cause = pending ? { id: pending.id } : null;
  if (before.reason === 'starting-up' && state.state !== 'running') {
    // Spawned, never let run: the command that asked for it was not answered and can be given again.
    actor.starting = new AbortController();
    await guest.destroy({ graceful: false, reason: 'failed', detail: 'failed' });
    actor.starting = undefined;
    actor.shutOff({ state: 'shutoff', reason: 'failed' });
    if (!actor.record.persistent) host.discard(actor);
    return;
  }
  if (before.reason === 'starting-up') {
    actor.enter({ state: 'running', reason: 'booted' });
    actor.lifecycle('resumed', 'unpaused', cause);
    actor.lifecycle('started', 'booted', cause);
  } else if (state.state !== before.state) {
    actor.enter(state);
    if (state.state === 'running') actor.lifecycle('resumed', resumedDetail(state.reason), cause);
    else if (state.state === 'paused') actor.lifecycle('suspended', suspendedDetail(state.reason), cause);
    else if (state.state === 'crashed') actor.lifecycle('crashed', 'panicked', null);
    else actor.persist();
  }
  if (pending && done(pending.operation, actor)) {
    actor.remember({ id: pending.id, operation: pending.operation, response: { domain: actor.summary() } });
  }
  actor.record.pending = undefined;
  actor.persist();
}

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

/** Start what is marked for it, when the host itself has booted since. */
export async function autostart(host: DriverHost): Promise<void> {
  if (!host.freshBoot) return;
  for (const actor of host.all()) {
    if (!actor.record.autostart || actor.active) continue;
    try {
      using _job = await actor.jobs.async('start', 'autostart');
      const signal = AbortSignal.timeout(60_000);
      await boot(host, actor, { domain: actor.document, paused: false, signal });
    } catch (thrown) {
      const error = VirtError.from(thrown);
      actor.log.error({ reason: reasonOf(error) }, 'autostart failed');
    }
  }
}
