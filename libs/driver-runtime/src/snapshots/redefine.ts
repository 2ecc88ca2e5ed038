/** A description that is kept again: checked against those that are there, in libvirt's words. */
import { parseSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { VirtError } from '@virtbus/shared';
import type { Actor } from '../actor';
import type { Context } from '../ops/op';
import { snapshotsOf } from './index';
import type { CreateRequest } from './request';
import { stateOf } from './summary';

const invalid = (detail: string): VirtError => new VirtError('INVALID_ARG', { detail });

export function redefine({ actor }: Context, { xml, current, validate, noMetadata, halt }: CreateRequest): Snapshot {
  if (noMetadata || halt) throw invalid('redefine goes with neither noMetadata nor halt');
  const snapshot = parseSnapshot(xml, { form: 'redefinition', unknown: validate ? 'refuse' : 'warn' });
  const book = snapshotsOf(actor);
  checkDomain(actor, snapshot);
  checkParent(actor, snapshot);
  const before = book.find(snapshot.name);
  if (before) checkSame(before, snapshot);
  const kept = {
    ...snapshot,
    domain: snapshot.domain ?? before?.domain,
    disks: disksOf(snapshot, before),
    revertDisks: revertDisksOf(snapshot, before),
  };
  book.keep(kept);
  if (current) actor.record.snapshot = { ...actor.record.snapshot, current: snapshot.name };
  actor.emit({ class: 'snapshot', type: 'created', data: { name: snapshot.name, redefined: true } });
  return kept;
}

const disksOf = ({ disks }: Snapshot, before: Snapshot | undefined): Snapshot['disks'] =>
  disks.length > 0 ? disks : (before?.disks ?? []);

/** A document of before the last return to it says nothing of the overlays that this has put upon it. */
const revertDisksOf = ({ revertDisks }: Snapshot, before: Snapshot | undefined): Snapshot['revertDisks'] =>
  revertDisks.length > 0 ? revertDisks : (before?.revertDisks ?? []);

function checkDomain({ uuid }: Actor, { name, domain }: Snapshot): void {
  if (domain?.uuid !== undefined && domain.uuid !== uuid)
    throw invalid(`definition for snapshot ${name} must use uuid ${uuid}`);
}

function checkParent(actor: Actor, { name, parent }: Snapshot): void {
  const book = snapshotsOf(actor);
  const wanted = parent?.name;
  if (wanted === undefined) return;
  if (wanted === name) throw invalid(`cannot set snapshot ${name} as its own parent`);
  const found = book.find(wanted);
  if (!found) throw invalid(`parent ${wanted} for snapshot ${name} not found`);
  for (let above: Snapshot | undefined = found; above; above = book.parentOf(above))
    if (above.name === name) throw invalid(`parent ${wanted} would create cycle to ${name}`);
}

function checkSame(before: Snapshot, now: Snapshot): void {
  const online = (one: Snapshot): boolean => ['running', 'paused'].includes(stateOf(one));
  const diskOnly = (one: Snapshot): boolean => stateOf(one) === 'disk-snapshot';
  if (diskOnly(before) !== diskOnly(now))
    throw invalid(`cannot change between disk only and full system in snapshot ${now.name}`);
  if (online(before) !== online(now))
    throw invalid(`cannot change between online and offline snapshot state in snapshot ${now.name}`);
}
