/** What is told of a snapshot beside its document. */
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import type { SnapshotSummary } from '@virtbus/shared';
import { madeAt } from '../description-book';
import type { SnapshotBook } from './book';

export function summaryOf(book: SnapshotBook, snapshot: Snapshot, current: string | undefined): SnapshotSummary {
  const { name, description, memory } = snapshot;
  const parent = book.parentOf(snapshot)?.name;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    state: stateOf(snapshot),
    created: madeAt(snapshot),
    location: isExternal(snapshot) ? 'external' : 'internal',
    memory: memory?.snapshot ?? 'no',
    current: name === current,
    ...(parent === undefined ? {} : { parent }),
    children: book.childrenOf(name).map((child) => child.name),
  };
}

/** A description of old that names no state is of a domain that was off. */
export const stateOf = ({ state }: Snapshot): SnapshotSummary['state'] => state ?? 'shutoff';

export const isExternal = ({ disks, memory }: Snapshot): boolean =>
  memory?.snapshot === 'external' || disks.some(({ snapshot }) => snapshot === 'external');

/** The disks of which something was kept. */
export const takenDisks = ({ disks }: Snapshot): Snapshot['disks'] =>
  disks.filter(({ snapshot }) => snapshot === 'internal' || snapshot === 'external');
