/**
 * Bringing a domain to life: boot, or restore from a save image.
 *
 * On failure nothing of the guest is left, the domain is shutoff(failed), and there is no lifecycle event: a domain that
 * did not start has no life to tell of.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseDomain, withoutDisks, type Domain, type DroppedDisk } from '@virtbus/domain-xml';
import { isVirtError, startDomain, VirtError } from '@virtbus/shared';
import type { Actor } from '../actor';
import { facet, type Guest, type StartSpec } from '../driver';
import { endFailed } from '../end-failed';
import { tellStopped } from '../hearing';
import type { DriverHost } from '../host';
import { reasonOf } from '../host';
import { hasImages } from '../document';
import { chainsOf, opensOf } from '../images';
import { checkMemory } from '../memory';
import type { HeldDisks } from '../record';
import { change, type Op } from './op';

/** Until a hypervisor that did not answer is asked again, milliseconds. */
const againMs = 500;

export interface BootSpec {
  domain: Domain;
  paused: boolean;
  restore?: StartSpec['restore'];
  /** It goes back to a snapshot: told with its own words. */
  reverts?: boolean;
  /** What the guest may open. */
  disks: HeldDisks;
  /** Disks to start without, by target: their images are not there, and the document allows it. */
  missing?: readonly string[] | undefined;
  signal: AbortSignal;
}

export const start: Op = {
  ...change(
    startDomain,
    'inactive',
    async ({ paused, forceBoot }, { host, actor, call, prepared }) => {
      const boots = forceBoot || !actor.managedSave;
      if (boots && !prepared && hasImages(actor.document)) {
        // Whoever sent it knew an earlier definition.
        throw new VirtError('RESOURCE_BUSY', { detail: `the disks of domain '${actor.record.name}' are not prepared` });
      }
      if (forceBoot) dropManagedSave(host, actor);
      await startDefined(host, actor, { ...opensOf(prepared), paused, signal: call.signal });
      return { domain: actor.summary() };
    },
    { async: 'start' },
  ),
  foresee: ({ host }) => host.implementation.expectStart?.(),
};

/** Start a defined domain: from its managed save image where it has one. */
export async function startDefined(
  host: DriverHost,
  actor: Actor,
  { paused, ...how }: Pick<BootSpec, 'paused' | 'disks' | 'missing' | 'signal'>,
): Promise<void> {
  const path = host.store.managedSaveOf(actor.uuid);
  if (actor.managedSave) await restoreFrom(host, actor, { ...how, path, paused: paused || undefined });
  else await boot(host, actor, { ...how, domain: actor.document, paused });
}

export function dropManagedSave(host: DriverHost, actor: Actor): void {
  if (!actor.managedSave) return;
  host.store.dropManagedSave(actor.uuid);
  actor.managedSave = false;
  host.changed();
}

/** Start from a save image; whether it runs then is as it was when saved, unless the caller says otherwise. */
export async function restoreFrom(
  host: DriverHost,
  actor: Actor,
  how: { path: string; paused?: boolean | undefined; xml?: string | undefined } & Pick<
    BootSpec,
    'disks' | 'missing' | 'signal'
  >,
): Promise<void> {
  const image = await facet(host.implementation, 'save').inspect(how.path);
  const { domain } = parseDomain(how.xml ?? image.xml, { mode: 'inactive', unknown: 'warn' });
  if (domain.uuid !== actor.uuid) {
    throw new VirtError('OPERATION_FAILED', {
      detail: `${how.path} holds another domain: '${domain.name}' ${domain.uuid}`,
    });
  }
  await boot(host, actor, {
    domain,
    paused: how.paused ?? !image.running,
    restore: { path: how.path },
    disks: how.disks,
    missing: how.missing,
    signal: how.signal,
  });
}

export async function boot(host: DriverHost, actor: Actor, spec: BootSpec): Promise<void> {
  host.implementation.expectStart?.();
  const { domain, dropped } = withoutDisks(spec.domain, new Set(spec.missing));
  checkMemory(domain);
  const starting = new AbortController();
  const stop = (): void => starting.abort(spec.signal.reason);
  spec.signal.addEventListener('abort', stop, { once: true });
  actor.starting = starting;
  actor.endedInStart = undefined;
  actor.record.id = host.nextId();
  actor.record.asked = undefined;
  actor.live = domain;
  // What the last run stood on is past.
  actor.record.disks = spec.disks;
  host.awaited.delete(actor.uuid);
  const { revision } = actor.record;
  const wasKnown = actor.active;
  let guest: Guest | undefined;
  try {
    actor.enter({ state: 'paused', reason: 'starting-up' });
    actor.persist();
    // Without it, a process of a domain that has no definition could not be found again after a crash of ours.
    if (!actor.config) actor.setLive(domain);
    actor.makeRunFolder();
    guest = await host.implementation.start({
      uuid: actor.uuid,
      id: actor.record.id,
      domain,
      folders: actor.folders,
      paused: spec.paused,
      restore: spec.restore,
      chains: chainsOf(spec.disks),
      signal: starting.signal,
      sink: actor.listener(),
      // While the machine is being built: what is written now costs the start nothing.
      onSpawned: (saved, live) => {
        actor.setSaved(saved);
        actor.setLive(live);
      },
      log: actor.log,
    });
    starting.signal.throwIfAborted();
    actor.guest = guest;
    if (guest.saved !== actor.record.guest) actor.setSaved(guest.saved);
    if (guest.live !== actor.live) actor.setLive(guest.live);
    for (const disk of dropped) tellDropped(actor, disk);
    const onTold = (): void => spec.signal.removeEventListener('abort', stop);
    if (actor.managedSave) host.store.spendManagedSave(actor.uuid);
    await letRun({ host, actor, guest, signal: starting.signal, onTold }, spec);
    host.startedOnce(actor);
    for (const type of host.implementation.taints?.(domain) ?? []) actor.taint(type);
    // A managed save image is of a guest that has run on since: to restore it later would be to go back in time.
    dropManagedSave(host, actor);
    tellEndInStart(actor);
  } catch (thrown) {
    if (actor.record.state === 'running') dropManagedSave(host, actor);
    else if (actor.managedSave) host.store.returnManagedSave(actor.uuid);
    if (guest) await endFailed(guest, actor.log);
    actor.record.disks = undefined; // What was leased for it is let go.
    actor.shutOff({ state: 'shutoff', reason: 'failed' });
    if (wasKnown || actor.record.revision > revision)
      actor.lifecycle('stopped', 'failed'); // Its life was told of already.
    else actor.persist();
    host.changed();
    actor.log.warn({ reason: reasonOf(thrown) }, 'start failed');
    throw starting.signal.aborted && isVirtError(starting.signal.reason) ? starting.signal.reason : thrown;
  } finally {
    actor.starting = undefined;
    spec.signal.removeEventListener('abort', stop);
  }
}

/** Its start was told while it ended: it has lived, if only for a moment. */
function tellEndInStart(actor: Actor): void {
  const { endedInStart } = actor;
  if (!endedInStart) return;
  actor.shutOff(endedInStart.to);
  tellStopped(actor, endedInStart, null);
}

/** The definition still has the disk: a start tells again, each time that its image is missing. */
function tellDropped(actor: Actor, { emptied, ...data }: DroppedDisk): void {
  actor.emit({ class: 'disk-change', type: emptied ? 'missing-on-start' : 'drop-missing-on-start', data });
}

interface Starting {
  host: DriverHost;
  actor: Actor;
  guest: Guest;
  /** Aborts it; from where its start has been told the time of its command is no reason to. */
  signal: AbortSignal;
  /** Its start is about to be told. */
  onTold: () => void;
}

/**
 * libvirt's order of events: a boot tells RESUMED before STARTED (or SUSPENDED after it when it stays paused), a
 * restore STARTED first.
 */
async function letRun(starting: Starting, spec: BootSpec): Promise<void> {
  const { actor, guest } = starting;
  const restored = spec.restore !== undefined;
  if (spec.reverts) return letRunReverted(starting, spec.paused);
  if (spec.paused) {
    actor.enter({ state: 'paused', reason: restored ? 'from-snapshot' : 'user' });
    actor.lifecycle('started', restored ? 'restored' : 'booted');
    actor.lifecycle('suspended', restored ? 'restored' : 'paused');
  } else if (restored) {
    actor.enter({ state: 'paused', reason: 'from-snapshot' }); // No longer starting up: a crash would tell it twice.
    await goOn(starting, 'restored');
  } else {
    await guest.resume('booted', starting.signal);
    actor.lifecycle('started', 'booted');
  }
}

async function letRunReverted(starting: Starting, paused: boolean): Promise<void> {
  const { actor } = starting;
  actor.enter({ state: 'paused', reason: 'from-snapshot' });
  if (!paused) return goOn(starting, 'from-snapshot');
  actor.lifecycle('started', 'from-snapshot');
  actor.lifecycle('suspended', 'from-snapshot');
}

/**
 * It has started and is paused still. That it is to run is on disk with the event: after a crash of ours it does. Whether it
 * runs is asked until it is known: what it was restored from is of its past as soon as it may have run.
 */
async function goOn(
  { host, actor, guest, signal, onTold }: Starting,
  detail: 'restored' | 'from-snapshot',
): Promise<void> {
  onTold();
  actor.record.goesOn = true;
  actor.lifecycle('started', detail);
  for (;;) {
    try {
      await guest.resume(detail, signal);
      break;
    } catch (error) {
      if (signal.aborted || actor.guest !== guest) dropManagedSave(host, actor);
      else if (isVirtError(error, 'OPERATION_TIMEOUT')) {
        actor.log.warn({ err: error }, 'a guest that was restored is let run as soon as its hypervisor answers');
        await sleep(againMs, undefined, { ref: false });
        continue;
      }
      throw error;
    }
  }
  actor.record.goesOn = undefined;
}
