/** A checkpoint's description and its bitmaps come to be together, also when we die between the two. */
import type { Checkpoint } from '@virtbus/domain-xml/checkpoint';
import type { Actor } from '../actor';
import type { Guest } from '../driver';
import type { DriverHost } from '../host';
import { checkpointsOf } from './index';

/** The description first: a bitmap that nobody knows of could never be removed. @param make makes the bitmaps, all or none */
export async function withDescription(actor: Actor, checkpoint: Checkpoint, make: () => Promise<void>): Promise<void> {
  const book = checkpointsOf(actor);
  note(actor, checkpoint.name);
  book.keep(checkpoint);
  try {
    await make();
  } catch (error) {
    book.drop(checkpoint.name);
    throw error;
  } finally {
    note(actor, undefined);
  }
  actor.emit({ class: 'checkpoint', type: 'created', data: { name: checkpoint.name } });
}

function note(actor: Actor, making: string | undefined): void {
  actor.record.checkpoint = making === undefined ? undefined : { making };
  actor.persist();
}

/** After a crash of ours: a checkpoint whose bitmaps were never made is forgotten. */
export async function finishMaking<G extends Guest>(host: DriverHost<G>, actor: Actor<G>, guest: G): Promise<void> {
  const { making } = actor.record.checkpoint ?? {};
  const { checkpoints } = host.implementation.facets;
  if (making === undefined || !checkpoints) return;
  const book = checkpointsOf(actor);
  const checkpoint = book.find(making);
  try {
    if (checkpoint) await checkpoints.validate(guest, checkpoint, AbortSignal.timeout(patienceMs));
  } catch (err) {
    actor.log.info({ err, checkpoint: making }, 'a checkpoint that was being made has come to nothing');
    book.drop(making);
  }
  note(actor, undefined);
}

/** How long a guest may take to tell of its bitmaps, so that one that hangs keeps nobody waiting, milliseconds. */
const patienceMs = 5_000;
