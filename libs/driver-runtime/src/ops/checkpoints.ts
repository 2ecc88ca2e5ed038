/** Checkpoints of a domain: made and deleted while its guest runs, looked at whenever. */
import { formatCheckpoint, type Checkpoint } from '@virtbus/domain-xml/checkpoint';
import {
  createCheckpoint,
  deleteCheckpoint,
  getCheckpoint,
  getCheckpointXml,
  listCheckpoints,
  VirtError,
} from '@virtbus/shared';
import type { Actor } from '../actor';
import { checkpointsOf, checkpointSummary, markedDisks } from '../checkpoints';
import { withDescription } from '../checkpoints/making';
import { redefinedCheckpoint, requestedCheckpoint } from '../checkpoints/request';
import { facet } from '../driver';
import { change, guestOf, look, type Context } from './op';

export const create = change(createCheckpoint, 'any', async (request, context) => {
  const { actor } = context;
  const checkpoint = request.redefine
    ? await redefine(context, request)
    : await make(context, request.xml, request.quiesce);
  return { domain: actor.summary(), checkpoint: checkpointSummary(checkpointsOf(actor), checkpoint) };
});

async function make(context: Context, xml: string, quiesce: boolean): Promise<Checkpoint> {
  const { host, actor, call } = context;
  if (!actor.active)
    throw new VirtError('OPERATION_UNSUPPORTED', { detail: 'cannot create checkpoint for inactive domain' });
  const guest = guestOf(actor);
  const checkpoint = requestedCheckpoint(context, xml, Math.floor(Date.now() / 1_000));
  const facility = facet(host.implementation, 'checkpoints');
  const how = { quiesce, signal: call.signal };
  await withDescription(context, checkpoint, () => facility.create(guest, checkpoint, how));
  return checkpoint;
}

async function redefine(context: Context, { xml, validate }: { xml: string; validate: boolean }): Promise<Checkpoint> {
  const { host, actor, call } = context;
  const checkpoint = redefinedCheckpoint(context, xml);
  if (validate) await facet(host.implementation, 'checkpoints').validate(guestOf(actor), checkpoint, call.signal);
  checkpointsOf(actor).keep(checkpoint);
  return checkpoint;
}

export const list = look(listCheckpoints, 'any', async ({ from, descendants, roots, leaves }, { actor }) => {
  const book = checkpointsOf(actor);
  if (from !== undefined) book.get(from);
  const among = from === undefined ? book.all : descendants ? book.descendantsOf(from) : book.childrenOf(from);
  const isLeaf = (one: Checkpoint): boolean => book.childrenOf(one.name).length === 0;
  const wanted = among.filter(
    (one) => (!roots || !book.parentOf(one)) && (leaves === undefined || leaves === isLeaf(one)),
  );
  return { checkpoints: wanted.map((one) => checkpointSummary(book, one)) };
});

export const info = look(getCheckpoint, 'any', async ({ name }, { actor }) => {
  const book = checkpointsOf(actor);
  return { checkpoint: checkpointSummary(book, book.get(name)) };
});

export const dumpxml = look(getCheckpointXml, 'any', async ({ name, withoutDomain, sizes }, context) => {
  const { host, actor, call } = context;
  const checkpoint = checkpointsOf(actor).get(name);
  if (!sizes) return { xml: formatCheckpoint(checkpoint, { withoutDomain }) };
  const bytes = await facet(host.implementation, 'checkpoints').sizes(guestOf(actor), checkpoint, call.signal);
  const disks = checkpoint.disks.map((disk) => ({ ...disk, size: bytes.get(disk.name) }));
  return { xml: formatCheckpoint({ ...checkpoint, disks }, { withoutDomain }) };
});

export const remove = change(deleteCheckpoint, 'any', async (request, context) => {
  const { host, actor, call } = context;
  const { name, children, childrenOnly, metadata } = request;
  const book = checkpointsOf(actor);
  const chosen = book.get(name);
  if (!metadata && !actor.active)
    throw new VirtError('OPERATION_INVALID', { detail: 'cannot delete checkpoint for inactive domain' });
  const below = children || childrenOnly ? book.descendantsOf(name) : [];
  for (const one of [...below.reverse(), ...(childrenOnly ? [] : [chosen])]) {
    if (!metadata && markedDisks(one).length > 0)
      await facet(host.implementation, 'checkpoints').remove(guestOf(actor), one, call.signal);
    forget(actor, one);
  }
  return { domain: actor.summary() };
});

/** Its children become those of its parent. */
function forget(actor: Actor, { name, parent }: Checkpoint): void {
  const book = checkpointsOf(actor);
  for (const child of book.childrenOf(name))
    book.keep({ ...child, parent: parent?.name === undefined ? undefined : parent });
  book.drop(name);
  actor.emit({ class: 'checkpoint', type: 'deleted', data: { name } });
}
