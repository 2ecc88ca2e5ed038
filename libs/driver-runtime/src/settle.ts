/**
 * How a domain comes to live on this host: define, create, restore, rename. The caller (the domain service) holds the
 * claim on the name and gives the epoch; this host has the last word on what it can run.
 */
import { parseDomain, warningText, type Domain } from '@virtbus/domain-xml';
import {
  type driverCreate,
  type driverDefine,
  type driverRename,
  type driverRestore,
  VirtError,
  type DomainSummary,
} from '@virtbus/shared';
import type { z } from 'zod';
import type { Call } from '@virtbus/shared/bus';
import type { Actor } from './actor';
import type { Cause } from './telling';
import { facet } from './driver';
import type { DriverHost } from './host';
import { begin, opensOf } from './images';
import { causeOf, turn } from './ops/op';
import { boot, restoreFrom } from './ops/start';
import { snapshotsOf } from './snapshots';

type Defined = { domain: DomainSummary; warnings: string[] };

export async function define(
  host: DriverHost,
  ask: z.output<typeof driverDefine.request>,
  call: Call,
): Promise<Defined> {
  const read = parse(ask.xml, call, ask.validate);
  const { domain, ignored } = read;
  const known = earlierAnswer<Defined>(host, domain.uuid, call.id);
  if (known) return known;
  const existing = host.find(domain.uuid);
  const cause = causeOf(call, 'define');
  // For a new domain all that follows happens in one turn of the event loop: nobody sees half of it.
  if (!existing) return firstDefinition(host, read, ask.epoch, cause);
  return existing.once(cause, async () => {
    using _job = await existing.jobs.normal('modify', 'define', turn(call));
    host.mustHave(existing);
    checkIdentity(host, domain, existing);
    checkEpoch(existing, ask.epoch);
    const before = existing.config ?? existing.live;
    const { domain: prepared, warnings } = host.implementation.prepare(domain, { before });
    existing.setConfig(prepared);
    existing.record.persistent = true;
    existing.lifecycle('defined', 'updated', cause);
    existing.establish();
    existing.warnIgnored(ignored, cause);
    return { domain: existing.summary(), warnings: [...ignored, ...warnings] };
  });
}

function firstDefinition(host: DriverHost, { domain, ignored }: Read, epoch: number, cause: Cause): Promise<Defined> {
  checkIdentity(host, domain, undefined);
  const { domain: prepared, warnings } = host.implementation.prepare(domain, {});
  const actor = host.add({ uuid: domain.uuid, name: domain.name, epoch, persistent: true });
  try {
    actor.setConfig(prepared);
    actor.establish();
  } catch (thrown) {
    host.discard(actor);
    throw thrown;
  }
  host.settle(actor);
  return actor.once(cause, async () => {
    actor.lifecycle('defined', 'added', cause);
    actor.warnIgnored(ignored, cause);
    return { domain: actor.summary(), warnings: [...ignored, ...warnings] };
  });
}

export async function create(
  host: DriverHost,
  ask: z.output<typeof driverCreate.request>,
  call: Call,
): Promise<Defined> {
  const { domain, ignored } = parse(ask.xml, call, ask.validate);
  const known = earlierAnswer<Defined>(host, domain.uuid, call.id);
  if (known) return known;
  const existing = host.find(domain.uuid);
  const prepared = isRepeated(existing, call)
    ? { domain, warnings: [] }
    : host.implementation.prepare(domain, { before: existing?.config });
  const life: Life = { operation: 'create', job: 'start', epoch: ask.epoch };
  return comeAlive(host, { ...prepared.domain, uuid: domain.uuid }, life, call, async (actor) => {
    using _images = begin(host, actor, ask.prepared);
    const how = { paused: ask.paused, ...opensOf(ask.prepared), signal: call.signal };
    await boot(host, actor, { ...how, domain: prepared.domain });
    actor.warnIgnored(ignored);
    return { domain: actor.summary(), warnings: [...ignored, ...prepared.warnings] };
  });
}

export async function restore(
  host: DriverHost,
  ask: z.output<typeof driverRestore.request>,
  call: Call,
): Promise<{ domain: DomainSummary }> {
  const image = await facet(host.implementation, 'save').inspect(ask.path);
  const life: Life = { operation: 'restore', job: 'restore', epoch: ask.epoch };
  const { domain, ignored } = parse(ask.xml ?? image.xml, call, false);
  return comeAlive(host, domain, life, call, async (actor) => {
    using _images = begin(host, actor, ask.prepared);
    await restoreFrom(host, actor, { ...ask, ...opensOf(ask.prepared), signal: call.signal });
    actor.warnIgnored(ignored);
    return { domain: actor.summary() };
  });
}

interface Life {
  operation: 'create' | 'restore';
  job: 'start' | 'restore';
  epoch: number;
}

/** A domain that does not run comes to life; one that was not here before leaves nothing when that fails. */
async function comeAlive<T>(
  host: DriverHost,
  domain: Identified,
  life: Life,
  call: Call,
  run: (actor: Actor) => Promise<T>,
): Promise<T> {
  const existing = host.find(domain.uuid);
  checkIdentity(host, domain, existing);
  if (existing && !isRepeated(existing, call)) checkAsleep(existing);
  const cause = causeOf(call, life.operation);
  const actor = existing ?? arrive(host, domain, life.epoch);
  const { revision } = actor.record;
  return actor.once(cause, async () => {
    using _job = await actor.jobs.async(life.job, life.operation, turn(call));
    host.mustHave(actor);
    // Again, now that nobody else can start it.
    checkAsleep(actor);
    try {
      const answer = await actor.as(cause, () => run(actor));
      host.settle(actor);
      if (!actor.active && !actor.record.persistent) host.gone(actor);
      return answer;
    } catch (thrown) {
      // What the world has been told of is not as if it had never been.
      if (!existing && actor.record.revision === revision) host.discard(actor);
      else if (!existing && host.find(actor.uuid) === actor) host.gone(actor);
      throw thrown;
    }
  });
}

function checkAsleep(actor: Actor): void {
  if (!actor.active) return;
  throw new VirtError('OPERATION_INVALID', { detail: `domain '${actor.record.name}' is already active` });
}

/** This very command was applied before, or is being applied. */
function isRepeated(existing: Actor | undefined, call: Call): boolean {
  if (!existing) return false;
  return existing.applies(call.id) || existing.record.answered.some((answer) => answer.id === call.id);
}

export async function rename(
  host: DriverHost,
  actor: Actor,
  { name }: z.output<typeof driverRename.request>,
  call: Call,
): Promise<{ domain: DomainSummary }> {
  const cause = causeOf(call, 'rename');
  return actor.once(cause, async () => {
    using _job = await actor.jobs.normal('modify', 'rename', turn(call));
    host.mustHave(actor);
    if (!actor.record.persistent)
      throw new VirtError('OPERATION_INVALID', { detail: 'cannot rename a transient domain' });
    if (actor.active) throw new VirtError('OPERATION_INVALID', { detail: 'cannot rename active domain' });
    if (actor.managedSave) {
      throw new VirtError('OPERATION_INVALID', { detail: 'cannot rename domain with a managed saved state' });
    }
    if (snapshotsOf(actor).size > 0) {
      throw new VirtError('OPERATION_INVALID', { detail: 'cannot rename domain with snapshots' });
    }
    const other = host.byName(name);
    if (other && other !== actor) throw nameTaken(name, other.uuid);
    if (name === actor.record.name) return { domain: actor.summary() };
    actor.setConfig({ ...actor.config!, name });
    actor.lifecycle('undefined', 'renamed', cause);
    actor.record.name = name;
    actor.lifecycle('defined', 'renamed', cause);
    actor.establish();
    return { domain: actor.summary() };
  });
}

type Identified = Domain & { uuid: string };

interface Read {
  domain: Identified;
  /** What of the document is not known and has no effect, a line each. */
  ignored: string[];
}

/** A document that names no uuid is of the domain that the call is about. */
function parse(xml: string, call: Call, validate: boolean): Read {
  const { domain, warnings } = parseDomain(xml, { mode: 'inactive', unknown: validate ? 'refuse' : 'warn' });
  domain.uuid ??= call.domain;
  if (!domain.uuid) throw new VirtError('XML_ERROR', { detail: 'the document has no uuid', element: 'uuid' });
  return { domain: domain as Identified, ignored: warnings.map(warningText) };
}

/** A transient domain arrives: it has a live document only. */
function arrive(host: DriverHost, domain: Identified, epoch: number): Actor {
  const actor = host.add({ uuid: domain.uuid, name: domain.name, epoch, persistent: false });
  actor.live = domain;
  return actor;
}

function checkIdentity(host: DriverHost, domain: Identified, existing: Actor | undefined): void {
  if (existing && existing.record.name !== domain.name) {
    const detail = `domain '${existing.record.name}' is already defined with uuid ${domain.uuid}`;
    throw new VirtError('DOMAIN_EXISTS', { detail });
  }
  const other = host.byName(domain.name);
  if (other && other !== existing) throw nameTaken(domain.name, other.uuid);
}

const nameTaken = (name: string, uuid: string): VirtError =>
  new VirtError('DOMAIN_EXISTS', { detail: `domain '${name}' already exists with uuid ${uuid}` });

export function checkEpoch(actor: Actor, asked: number | undefined): void {
  if (asked === undefined || asked === actor.record.epoch) return;
  throw new VirtError('EPOCH_STALE', { domain: actor.record.name, mine: actor.record.epoch, asked });
}

/** The answer of a domain that has left meanwhile, when this very command was answered before. */
function earlierAnswer<T>(host: DriverHost, uuid: string, commandId: string): T | undefined {
  const before = host.buried(uuid)?.answered.some((answer) => answer.id === commandId);
  return before && !host.find(uuid) ? (host.answerOf(uuid, commandId) as T) : undefined;
}
