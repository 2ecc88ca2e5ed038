/** The checkpoints of a domain: read once, kept current by the operations, and what is told of one beside its document. */
import { join } from 'node:path';
import { formatCheckpoint, parseCheckpoint, type Checkpoint } from '@virtbus/domain-xml/checkpoint';
import { VirtError, type CheckpointSummary } from '@virtbus/shared';
import type { Actor } from '../actor';
import { DescriptionBook, madeAt } from '../description-book';

export type CheckpointBook = DescriptionBook<Checkpoint>;

const books = new WeakMap<Actor, CheckpointBook>();

export function checkpointsOf(actor: Actor): CheckpointBook {
  let book = books.get(actor);
  if (!book) {
    const format = {
      read: (xml: string) => parseCheckpoint(xml, { form: 'redefinition', unknown: 'warn' }),
      write: (checkpoint: Checkpoint) => formatCheckpoint(checkpoint, { secrets: true }),
      missing: (checkpoint: string) => new VirtError('NO_DOMAIN_CHECKPOINT', { checkpoint }),
    };
    book = DescriptionBook.open(join(actor.folders.state, 'checkpoints'), format, actor.log);
    books.set(actor, book);
  }
  return book;
}

/** The newest one without children: the next checkpoint follows on it. */
export function currentCheckpoint(book: CheckpointBook): Checkpoint | undefined {
  return book.all
    .filter(({ name }) => book.childrenOf(name).length === 0)
    .reduce<Checkpoint | undefined>(
      (newest, one) => (newest && madeAt(newest) > madeAt(one) ? newest : one),
      undefined,
    );
}

/** Targets of the disks with a bitmap. */
export const markedDisks = ({ disks }: Checkpoint): string[] =>
  disks.filter(({ checkpoint }) => checkpoint === 'bitmap').map(({ name }) => name);

export function checkpointSummary(book: CheckpointBook, checkpoint: Checkpoint): CheckpointSummary {
  const { name, description } = checkpoint;
  const parent = book.parentOf(checkpoint)?.name;
  return {
    name,
    ...(description !== undefined && { description }),
    created: madeAt(checkpoint),
    disks: markedDisks(checkpoint),
    current: currentCheckpoint(book)?.name === name,
    ...(parent !== undefined && { parent }),
    children: book.childrenOf(name).map((child) => child.name),
  };
}
