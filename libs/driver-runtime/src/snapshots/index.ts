/** The snapshots of a domain: read once, kept current by the operations. */
import { join } from 'node:path';
import type { Actor } from '../actor';
import { openSnapshotBook, type SnapshotBook } from './book';

const books = new WeakMap<Actor, SnapshotBook>();

export function snapshotsOf(actor: Actor): SnapshotBook {
  let book = books.get(actor);
  if (!book) {
    book = openSnapshotBook(join(actor.folders.state, 'snapshots'), actor.log);
    books.set(actor, book);
  }
  return book;
}

/** What the domain's present descends from. */
export const currentOf = (actor: Actor): string | undefined => actor.record.snapshot?.current;

/** The present descends from another one; what was begun is done. @param givenUp overlays that stay for now */
export function descendFrom({ record }: Actor, current: string | undefined, givenUp = record.snapshot?.givenUp): void {
  record.snapshot = { ...(current === undefined ? {} : { current }), ...(givenUp?.length ? { givenUp } : {}) };
}
