/** Snapshots as virsh shows them. */
import type { SnapshotSummary } from '@virtbus/shared';
import type { Paint } from '../output';
import { localTime } from './checkpoints';
import { table } from './table';

export function printSnapshots(
  snapshots: readonly SnapshotSummary[],
  { parents, details }: { parents: boolean; details: boolean },
  paint: Paint,
): string {
  const head = ['Name', 'Creation Time', 'State'];
  const rows = snapshots.map(({ name, created, state, location, memory, children, current, parent }) => [
    ...[name, localTime(created), state],
    ...(details ? [location, memory, String(children.length), current ? 'yes' : 'no'] : []),
    ...(parents ? [parent ?? ''] : []),
  ]);
  const more = [...(details ? ['Location', 'Memory', 'Children', 'Current'] : []), ...(parents ? ['Parent'] : [])];
  return table([...head, ...more], rows, paint);
}
