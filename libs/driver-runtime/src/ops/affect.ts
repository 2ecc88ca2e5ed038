/** Which definitions a change is for: libvirt's CURRENT, LIVE and CONFIG. */
import { VirtError, type Affect } from '@virtbus/shared';
import type { Actor } from '../actor';
import { notRunning } from './op';

export type Side = 'live' | 'config';

/** Both are checked before either is changed. */
export function affected(actor: Actor, affect: Affect): Side[] {
  const sides: Side[] =
    affect === 'both' ? ['live', 'config'] : affect === 'current' ? [actor.active ? 'live' : 'config'] : [affect];
  if (sides.includes('live') && !actor.active) throw notRunning();
  if (sides.includes('config') && !actor.record.persistent) {
    throw new VirtError('OPERATION_INVALID', { detail: 'transient domains do not have any persistent config' });
  }
  return sides;
}
