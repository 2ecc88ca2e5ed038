/** From what a user asks for to a snapshot that can be taken: every refusal that needs no look at an image is here. */
import { formatDomain, parseDomain, type Domain } from '@virtbus/domain-xml';
import { alignSnapshot, parseSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { VirtError, type createSnapshot, type Request } from '@virtbus/shared';
import type { Actor } from '../actor';
import { beganAt } from '../began-at';
import { facet } from '../driver';
import type { Context } from '../ops/op';
import { currentOf, snapshotsOf } from './index';
import { isExternal, takenDisks } from './summary';

export type CreateRequest = Request<typeof createSnapshot>;

type Refusal =
  | 'INVALID_ARG'
  | 'OPERATION_INVALID'
  | 'OPERATION_UNSUPPORTED'
  | 'CONFIG_UNSUPPORTED'
  | 'OPERATION_FAILED'
  | 'XML_ERROR';

const refused = (code: Refusal, detail: string): VirtError => new VirtError(code, { detail });

/** @throws what keeps it from being taken of the domain as it is now */
export function requestedSnapshot({ host, actor, call }: Context, request: CreateRequest): Snapshot {
  const facility = facet(host.implementation, 'snapshots');
  checkFlags(actor, request);
  const now = beganAt(actor, call.id);
  const asked = parseSnapshot(request.xml, { form: 'request', now, unknown: request.validate ? 'refuse' : 'warn' });
  checkName(actor, asked.name);
  const state = stateAt(actor, request);
  const memory = memoryOf(asked, state, request);
  const external = request.diskOnly || memory?.snapshot === 'external';
  const snapshot = alignSnapshot({ ...asked, state, memory: memory ?? { snapshot: 'no' } }, actor.document, {
    location: external ? 'external' : 'internal',
    force: actor.active && !external,
  });
  checkSelection(snapshot);
  if (isExternal(snapshot)) refuseSaved(actor);
  facility.check(actor.document, snapshot, actor.active);
  return snapshot;
}

/** With what it is taken of, and where it belongs. */
export function described(actor: Actor, snapshot: Snapshot): Snapshot {
  const parent = currentOf(actor);
  const defined = actor.active && actor.record.persistent ? actor.config : undefined;
  return {
    ...snapshot,
    ...(parent === undefined ? {} : { parent: { name: parent } }),
    domain: settled(actor.document),
    ...(defined ? { inactiveDomain: defined } : {}),
  };
}

/** The next start restores a guest that goes on writing to the images that its disks stood on when it was saved. */
export function refuseSaved({ managedSave, active }: Actor): void {
  if (!managedSave || active) return;
  const detail =
    'domain has a managed save image, whose guest would go on with the images that it was saved with: start the domain first, or remove that image (managedsave-remove)';
  throw refused('OPERATION_INVALID', detail);
}

/** What starts from it finds the same hardware, and nothing of the run that was. */
export function settled(domain: Domain): Domain {
  const xml = formatDomain(domain, { view: 'inactive', secrets: true });
  return parseDomain(xml, { mode: 'inactive', unknown: 'warn' }).domain;
}

function checkFlags(
  actor: Actor,
  { diskOnly, quiesce, current, redefine, halt, live, reuseExternal }: CreateRequest,
): void {
  const needs = (one: boolean, name: string, other: boolean, otherName: string): void => {
    if (one && !other) throw refused('INVALID_ARG', `${name} is only for ${otherName}`);
  };
  needs(quiesce, 'quiesce', diskOnly, 'a snapshot of disks alone');
  needs(current, 'current', redefine, 'a snapshot that is redefined');
  needs(reuseExternal, 'reuseExternal', !redefine, 'a snapshot that is taken');
  if (halt && live) throw refused('INVALID_ARG', 'halt and live exclude each other');
  if (halt && !actor.record.persistent)
    throw refused('OPERATION_INVALID', 'cannot halt after transient domain snapshot');
  if (quiesce && actor.record.state !== 'running')
    throw refused('OPERATION_INVALID', 'cannot quiesce the guest: domain is not running');
  if (actor.record.state === 'pmsuspended')
    throw refused('OPERATION_UNSUPPORTED', "qemu doesn't support taking snapshots of PMSUSPENDED guests");
}

function checkName(actor: Actor, name: string): void {
  const book = snapshotsOf(actor);
  book.checkReadable(name);
  if (book.find(name)) throw refused('OPERATION_FAILED', `domain snapshot '${name}' already exists`);
}

function stateAt({ active, record }: Actor, { diskOnly }: CreateRequest): NonNullable<Snapshot['state']> {
  return active && diskOnly ? 'disk-snapshot' : record.state;
}

function memoryOf(
  { memory }: Snapshot,
  state: Snapshot['state'],
  { diskOnly, live }: CreateRequest,
): NonNullable<Snapshot['memory']> {
  const asked = memory?.snapshot;
  const without = state === 'shutoff' || state === 'disk-snapshot';
  if (without && asked !== undefined && asked !== 'no')
    throw refused('XML_ERROR', 'memory state cannot be saved with offline or disk-only snapshot');
  if (!without && !diskOnly && asked === 'no')
    throw refused(
      'CONFIG_UNSUPPORTED',
      'a snapshot of a running guest without its memory is one of disks alone: say diskOnly',
    );
  if (live && asked !== 'external')
    throw refused('OPERATION_UNSUPPORTED', 'live snapshot creation is supported only with external checkpoints');
  if (without) return { snapshot: 'no' };
  return asked === 'external' ? memory! : { snapshot: 'internal' };
}

/** Which disks go together. */
function checkSelection(snapshot: Snapshot): void {
  const taken = takenDisks(snapshot);
  const locations = new Set(taken.map((disk) => disk.snapshot));
  if (locations.size > 1)
    throw refused('CONFIG_UNSUPPORTED', 'mixing internal and external targets for a snapshot is not yet supported');
  if (taken.length === 0 && snapshot.memory?.snapshot !== 'external')
    throw refused('CONFIG_UNSUPPORTED', 'nothing selected for snapshot');
  const internalMemory = snapshot.memory?.snapshot === 'internal';
  if (internalMemory && locations.has('external'))
    throw refused('CONFIG_UNSUPPORTED', 'mixing internal and external targets for a snapshot is not yet supported');
}
