/** A checkpoint's description and its bitmaps come to be together, also when we die between the two. */
import { createCheckpoint, isVirtError } from '@virtbus/shared';
import type { Checkpoint } from '@virtbus/domain-xml/checkpoint';
import type { Actor } from '../actor';
import { patienceMs } from '../died-over';
import type { NewEvent } from '../telling';
import type { Guest } from '../driver';
import type { DriverHost } from '../host';
import { checkpointsOf, checkpointSummary } from './index';

/** The description first: a bitmap that nobody knows of could never be removed. @param make makes the bitmaps, all or none */
export async function withDescription<G extends Guest>(
  { host, actor }: { host: DriverHost<G>; actor: Actor<G> },
  checkpoint: Checkpoint,
  make: () => Promise<void>,
): Promise<void> {
  const book = checkpointsOf(actor);
  note(actor, checkpoint.name);
  book.keep(checkpoint);
  try {
    await make();
  } catch (error) {
    if (!isAnswer(error) && actor.guest) await finishMaking(host, actor, actor.guest);
    else forget(actor, checkpoint.name);
    // Also while that is not known: it is listed.
    if (actor.record.checkpoint) actor.record.checkpoint.told = true;
    if (book.find(checkpoint.name)) tellCreated(actor, checkpoint);
    throw error;
  }
  actor.record.checkpoint = undefined; // On disk with the event, which a crash between the two would lose.
  tellCreated(actor, checkpoint);
}

/** The hypervisor has said that it was not done. */
const isAnswer = (error: unknown): boolean =>
  isVirtError(error) && error.code !== 'OPERATION_TIMEOUT' && error.code !== 'OPERATION_ABORTED';

function forget(actor: Actor, name: string): void {
  checkpointsOf(actor).drop(name);
  note(actor, undefined);
}

function tellCreated(actor: Actor, checkpoint: Checkpoint, cause?: NewEvent['cause']): void {
  actor.emit({ class: 'checkpoint', type: 'created', data: { name: checkpoint.name }, cause });
}

function note(actor: Actor, making: string | undefined): void {
  actor.record.checkpoint = making === undefined ? undefined : { making };
  actor.persist();
}

/** After a crash of ours: one that was made is told of, and its command answered, where that is all that the command was for. */
export async function recoverMaking<G extends Guest>(host: DriverHost<G>, actor: Actor<G>, guest: G): Promise<void> {
  const { checkpoint: before, pending } = actor.record;
  const checkpoint = await finishMaking(host, actor, guest);
  if (!checkpoint) return;
  if (before?.told) return actor.persist();
  tellCreated(actor, checkpoint, pending ?? null);
  if (pending?.operation !== createCheckpoint.operation) return;
  const response = { domain: actor.summary(), checkpoint: checkpointSummary(checkpointsOf(actor), checkpoint) };
  actor.remember({ ...pending, response });
}

/**
 * Of which nobody knows whether its bitmaps were made, after a crash of ours or a lost answer: it is forgotten when they were
 * not, and stays while the guest does not say. Who finds it without bitmaps can delete it.
 * @returns the checkpoint that was made
 */
async function finishMaking<G extends Guest>(
  host: DriverHost<G>,
  actor: Actor<G>,
  guest: G,
): Promise<Checkpoint | undefined> {
  const { making } = actor.record.checkpoint ?? {};
  const { checkpoints } = host.implementation.facets;
  if (making === undefined || !checkpoints) return undefined;
  const checkpoint = checkpointsOf(actor).find(making);
  try {
    if (checkpoint) await checkpoints.validate(guest, checkpoint, AbortSignal.timeout(patienceMs));
    actor.record.checkpoint = undefined;
    if (!checkpoint) actor.persist();
    return checkpoint;
  } catch (err) {
    if (isAnswer(err)) {
      actor.log.info({ err, checkpoint: making }, 'a checkpoint that was being made has come to nothing');
      forget(actor, making);
    } else actor.log.warn({ err, checkpoint: making }, 'whether a checkpoint was made is not known');
    return undefined;
  }
}
