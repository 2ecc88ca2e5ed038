/** What a domain has that does not move with it. */
import { VirtError } from '@virtbus/shared';
import type { Actor } from '../actor';
import { checkpointsOf } from '../checkpoints';
import { snapshotsOf } from '../snapshots';

/**
 * Descriptions of snapshots and checkpoints are not sent along, and bitmaps that nobody describes are in the way for ever.
 * @throws OPERATION_INVALID
 */
export function mustLeaveNothing(actor: Actor): void {
  const { size } = snapshotsOf(actor);
  const checkpoints = checkpointsOf(actor).all.map(({ name }) => name);
  const left = [
    ...(size > 0 ? [`${size} snapshots; delete them, or their descriptions (snapshot-delete --metadata)`] : []),
    ...(checkpoints.length > 0
      ? [
          `${checkpoints.length} checkpoints (${checkpoints.join(', ')}); ` +
            'delete them (checkpoint-delete), or their descriptions (checkpoint-delete --metadata)',
        ]
      : []),
  ];
  if (left.length === 0) return;
  throw new VirtError('OPERATION_INVALID', { detail: `cannot migrate domain with ${left.join('; nor with ')}` });
}
