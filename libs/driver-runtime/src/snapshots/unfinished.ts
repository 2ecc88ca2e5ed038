/**
 * Operations on snapshots as the domain's record has them: written down before they begin, so that whoever comes after a crash
 * finds out how far they came and leaves a snapshot that is there or one that is not.
 */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DiskImage, Domain } from '@virtbus/domain-xml';
import { parseSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { createSnapshot, isVirtError, VirtError } from '@virtbus/shared';
import type { Actor } from '../actor';
import { againMs, letPendingGo, patienceMs, tellCameToNothing } from '../died-over';
import { facet, type Guest } from '../driver';
import type { DriverHost } from '../host';
import { chainsOf } from '../images';
import { dropManagedSave } from '../ops/start';
import type { DomainRecord, HeldDisks, SnapshotCreation, SnapshotDoing } from '../record';
import type { SnapshotsFacet } from './facet';
import { descendFrom, snapshotsOf } from './index';
import { definitionWithOverlays, isOn, overlaysOf, withDisks } from './overlays';
import { definitionOf, excludedDisks, finishRevert, rewoundPartly } from './reverting';
import { summaryOf } from './summary';
import { baseIn, located } from './volumes';

/** @param disks what the operation holds from now on, beside what is held already */
export function beginDoing(actor: Actor, doing: SnapshotDoing, disks: HeldDisks = {}): void {
  const { record } = actor;
  const before = { disks: record.disks, snapshot: record.snapshot };
  if (Object.keys(disks).length > 0) record.disks = { ...record.disks, ...disks };
  record.snapshot = { ...record.snapshot, doing };
  try {
    actor.persist();
  } catch (error) {
    Object.assign(record, before);
    throw error;
  }
}

/** A running guest is about to stand on the overlays: the definition is on disk with them before it does. */
export function beginTaking(actor: Actor, snapshot: Snapshot, doing: SnapshotCreation): void {
  const overlays = overlaysOf(snapshot);
  const defined = actor.config?.devices.disks.filter(({ target }) => overlays.has(target.dev ?? '')) ?? [];
  beginDoing(actor, { ...doing, begun: true, ...(defined.length > 0 && { defined }) });
  const before = actor.document;
  if (defined.length > 0) redefineDisks(actor, (config) => definitionWithOverlays(config, before, snapshot));
}

/** Nothing has happened yet: nobody is told. */
const redefineDisks = (actor: Actor, definition: (config: Domain) => Domain): void =>
  actor.hear({ kind: 'images', chains: {}, definition });

/**
 * It came to nothing: the definition is as it was, what was prepared for it is held no longer, and nothing describes it.
 * @param command that it was begun by
 */
export function abandon(actor: Actor, command = actor.record.pending): void {
  const doing = actor.record.snapshot?.doing;
  if (doing?.what === 'create' && doing.metadata) snapshotsOf(actor).drop(creationIn(doing).name);
  const defined = new Map((doing?.what === 'create' ? doing.defined : [])?.map((disk) => [disk.target.dev, disk]));
  try {
    if (defined.size > 0)
      redefineDisks(actor, (config) => withDisks(config, (disk, target) => defined.get(target) ?? disk));
  } finally {
    // Also when the disk is full: the definition is written before the record that no longer tells of it.
    letGo(actor, command);
    if (actor.record.snapshot) delete actor.record.snapshot.doing;
    actor.persist();
  }
}

/** The snapshot that was begun. */
const creationIn = ({ xml }: SnapshotCreation): Snapshot => parseSnapshot(xml, { form: 'stored', unknown: 'warn' });

/** Images that were prepared for the command, beside those of disks; what other jobs hold stays. */
function letGo({ record }: Actor, command: DomainRecord['pending']): void {
  const { id } = command ?? {};
  for (const [name, { claim }] of Object.entries(record.disks ?? {})) {
    const own = id !== undefined && (claim === id || claim.startsWith(`${id}.`));
    if (own && name.includes(':')) delete record.disks?.[name];
  }
}

export interface Completion {
  /** Its description is kept. */
  metadata: boolean;
  definition: (config: Domain) => Domain;
  /** That it was begun by, where that is not the one being applied. */
  command?: DomainRecord['pending'];
}

/** It is there: description, documents, record and event, in one turn. */
export function completeCreation(
  actor: Actor,
  snapshot: Snapshot,
  { metadata, definition, command = actor.record.pending }: Completion,
): void {
  const { name } = snapshot;
  const targets = [...overlaysOf(snapshot).keys()];
  const config = actor.active || targets.length === 0 ? undefined : actor.config && definition(actor.config);
  if (config && config !== actor.config) actor.setConfig(config);
  if (metadata) {
    snapshotsOf(actor).keep(snapshot);
    descendFrom(actor, name);
  } else if (actor.record.snapshot) delete actor.record.snapshot.doing;
  if (!actor.active) letGo(actor, command);
  actor.hear({
    kind: 'images',
    chains: actor.active ? Object.fromEntries(targets.map((target) => [target, undefined])) : {},
    definition: actor.active ? definition : (config) => config,
    event: { class: 'snapshot', type: 'created', data: { name, ...(metadata ? {} : { metadata }) }, caused: true },
  });
}

/**
 * Nothing needs them any longer: each is dropped and told of. That it was being done goes off the record with the answer.
 * @param command that it was begun by, where that is not the one being applied
 */
export function completeDeletion(actor: Actor, command?: DomainRecord['pending']): void {
  letGo(actor, command ?? actor.record.pending);
  const { snapshot } = actor.record;
  if (snapshot?.doing?.what !== 'delete') return;
  const book = snapshotsOf(actor);
  const { names = [] } = snapshot.doing;
  for (const [at, name] of names.entries()) {
    book.drop(name);
    snapshot.doing.names = names.slice(at + 1);
    actor.emit({ class: 'snapshot', type: 'deleted', data: { name }, cause: command });
  }
  delete snapshot.doing;
}

/** What an earlier process has left undone, and the domain as it was then. */
interface Left {
  doing: SnapshotDoing;
  before: Domain;
  command: DomainRecord['pending'];
}

/**
 * After a crash of ours, before anybody may command the domain. A hypervisor that says nothing keeps only this domain waiting: it
 * is asked until it answers, and till then it is still the turn of what was begun. Whoever went on would plan with images that
 * the guest has left.
 * @param guest undefined when it does not run, or has ended meanwhile: its documents are still those of its life
 */
export async function recover<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  guest: G | undefined,
): Promise<void> {
  const { snapshot, pending } = actor.record;
  if (!snapshot?.doing) return;
  const left: Left = { doing: snapshot.doing, before: actor.document, command: pending };
  if (!guest) return void (await settle(host, actor, undefined, left));
  const operation = `snapshot-${left.doing.what}`;
  actor.unsettled = { operation, command: pending };
  const turn = await actor.jobs.async('snapshot', operation);
  const letGoOn = (): void => {
    actor.unsettled = undefined;
    turn[Symbol.dispose]();
  };
  const first = settle(host, actor, guest, left);
  const known = new AbortController();
  // Nothing else may keep this process alive meanwhile: it has no bus yet.
  const patience = sleep(patienceMs, undefined, { signal: known.signal }).catch(() => undefined);
  const attempt = await Promise.race([first, patience]);
  known.abort();
  if (attempt && isKnown(attempt)) return letGoOn();
  later(first, host, actor, guest, left)
    .catch((err: unknown) => actor.log.error({ err }, 'what became of an operation on a snapshot cannot be kept'))
    .finally(letGoOn);
}

const refusalsTaken = 3;

/** `silent`: the hypervisor does not say how far it came; `refused`: it has said something else. */
type Attempt = 'taken' | 'abandoned' | 'silent' | 'refused';

const isKnown = (attempt: Attempt): boolean => attempt === 'taken' || attempt === 'abandoned';

async function later<G extends Guest>(
  first: Promise<Attempt>,
  host: DriverHost<G>,
  actor: Actor<G>,
  guest: G,
  left: Left,
): Promise<void> {
  let attempt = await first;
  for (let refusals = 0; !isKnown(attempt);) {
    // Of a guest that is ending the next ones find that it has ended.
    if (attempt === 'refused' && ++refusals > refusalsTaken) return;
    await sleep(againMs, undefined, { ref: false });
    // A transient domain is no more then.
    if (host.find(actor.uuid) !== actor) return;
    attempt = await settle(host, actor, actor.guest === guest ? guest : undefined, left);
  }
  letPendingGo(actor, left.command);
  actor.persist();
  if (attempt !== 'taken') tellCameToNothing(actor, 'snapshot', left.command);
}

async function settle<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  guest: G | undefined,
  left: Left,
): Promise<Attempt> {
  const of = actor as unknown as Actor;
  try {
    const facility = facet(host.implementation, 'snapshots');
    if (left.doing.what === 'create') return (await recoverCreation(facility, of, guest, left)) ? 'taken' : 'abandoned';
    if (left.doing.what === 'revert')
      return (await recoverRevert(host, of, guest, left.doing, left)) ? 'taken' : 'abandoned';
    return (await recoverDeletion(facility, of, guest, left.doing, left)) ? 'taken' : 'abandoned';
  } catch (err) {
    const attempt = isVirtError(err, 'OPERATION_TIMEOUT') ? 'silent' : 'refused';
    if (attempt === 'silent') actor.log.warn({ err }, 'what became of an operation on a snapshot is not known yet');
    else actor.log.error({ err }, 'cannot find out what became of an operation on a snapshot');
    return attempt;
  }
}

async function recoverCreation<G extends Guest>(
  facility: SnapshotsFacet<G>,
  actor: Actor,
  guest: G | undefined,
  { doing, before, command }: Left,
): Promise<boolean> {
  const { metadata, begun, reuse, online } = doing as SnapshotCreation;
  const { disks: held = {} } = actor.record;
  const snapshot = creationIn(doing as SnapshotCreation);
  const overlays = overlaysOf(snapshot);
  const external = overlays.size > 0;
  // An overlay that is whole serves as well when the guest had not begun to use it: what it does not hold lies below.
  const taken =
    !online && external
      ? standsOn(before, overlays)
      : !guest && external
        ? // The record may be older than the definition when the whole host went down.
          begun || (actor.config !== undefined && standsOn(actor.config, overlays))
        : !guest && snapshot.memory?.file !== undefined
          ? begun === true
          : await facility.wasTaken(guest, located(before, baseIn(chainsOf(held))), snapshot, begun === true);
  if (!taken) {
    abandon(actor, command);
    if (!reuse) dropFiles(overlays);
    if (!guest && online && snapshot.memory?.file !== undefined) rmSync(snapshot.memory.file, { force: true });
    return false;
  }
  const definition = (config: Domain): Domain => (online ? definitionWithOverlays(config, before, snapshot) : config);
  completeCreation(actor, snapshot, { metadata, definition, command });
  if (command?.operation !== createSnapshot.operation) return true;
  const book = snapshotsOf(actor);
  const summary = summaryOf(book, snapshot, actor.record.snapshot?.current);
  actor.remember({ ...command, response: { domain: actor.summary(), snapshot: summary } });
  return true;
}

/**
 * Once the definition stands on the new overlays the domain has gone back; before that nothing has happened to it, but for images
 * that have been wound back: then all are.
 */
async function recoverRevert<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor,
  guest: G | undefined,
  { xml, name, starts, rewinds }: SnapshotDoing & { what: 'revert' },
  { command }: Left,
): Promise<boolean> {
  const snapshot = parseSnapshot(xml, { form: 'stored', unknown: 'warn' });
  const overlays = overlaysOf({ disks: snapshot.revertDisks });
  // Others are for disks that only the guest has that was to start then.
  const defined = new Set(actor.config?.devices.disks.map(({ target }) => target.dev));
  const told = new Map([...overlays].filter(([target]) => defined.has(target)));
  const reverted = actor.config && standsOn(actor.config, told);
  const left = rewinds && !guest && (await rewindAll(facet(host.implementation, 'snapshots'), actor, snapshot));
  abandon(actor, command);
  if (left) {
    actor.log.error({ err: left }, 'some images of a domain may have gone back to a snapshot, and others not');
    if (command) actor.remember({ ...command, error: left.toBody() });
    return false;
  }
  if (rewinds || (told.size > 0 && reverted)) {
    dropManagedSave(host, actor);
    finishRevert(actor, snapshot, snapshot.revertDisks, new Set());
    const halfWay = new VirtError('OPERATION_FAILED', {
      detail: `the disks of '${actor.record.name}' have gone back to snapshot '${name}', but the driver was started again before its guest was: go back to it once more`,
    });
    const response = { domain: actor.summary() };
    if (command && starts !== undefined)
      actor.remember({ ...command, ...(starts ? { error: halfWay.toBody() } : { response }) });
    return true;
  }
  dropFiles(overlays);
  return false;
}

/**
 * Of several disks some had gone back, and others not. It is done again in all; its guest was gone before.
 * @returns why that is not so; nobody tries it again then, for the domain may be started as it is
 */
async function rewindAll<G extends Guest>(
  facility: SnapshotsFacet<G>,
  actor: Actor,
  snapshot: Snapshot,
): Promise<VirtError | undefined> {
  const { domain } = snapshot;
  if (!domain) return undefined;
  const definition = definitionOf({ ...snapshot, domain }, excludedDisks(actor, snapshot));
  const openable = located(definition, baseIn(chainsOf(actor.record.disks ?? {})));
  try {
    await facility.rewind(openable, snapshot, new AbortController().signal);
  } catch (error) {
    return rewoundPartly(snapshot, error);
  }
  if (actor.record.persistent) actor.setConfig(definition);
  return undefined;
}

/** Descriptions go last: where one has gone, the images were merged. */
async function recoverDeletion<G extends Guest>(
  facility: SnapshotsFacet<G>,
  actor: Actor,
  guest: G | undefined,
  { command: by, names }: SnapshotDoing & { what: 'delete' },
  { command }: Left,
): Promise<boolean> {
  const book = snapshotsOf(actor);
  const isComplete = names !== undefined && (names.length === 0 || names.some((name) => !book.find(name)));
  if (!isComplete) {
    // They are there still, marked as ones that nobody can go back to: they can be deleted again.
    if (guest) await facility.giveUpMerge(guest, by);
    abandon(actor, command);
    return false;
  }
  completeDeletion(actor, command);
  if (command) actor.remember({ ...command, response: { domain: actor.summary() } });
  return true;
}

/** Files that were made for an operation that came to nothing. */
function dropFiles(images: ReadonlyMap<string, DiskImage>): void {
  for (const { type, source } of images.values())
    if (type === 'file' && source.file !== undefined) rmSync(source.file, { force: true });
}

/** Do the disks stand on these overlays already? */
const standsOn = ({ devices }: Domain, overlays: ReadonlyMap<string, DiskImage>): boolean =>
  [...overlays].every(([target, overlay]) =>
    isOn(
      devices.disks.find((one) => one.target.dev === target),
      overlay,
    ),
  );
