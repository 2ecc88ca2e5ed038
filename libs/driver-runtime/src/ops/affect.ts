/** Which definitions a change is for: libvirt's CURRENT, LIVE and CONFIG. */
import type { Domain } from '@virtbus/domain-xml';
import { VirtError, type Affect } from '@virtbus/shared';
import type { Actor } from '../actor';
import { notRunning, type Context } from './op';

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

/**
 * The definition as a command changes it, as `define` would take it. Made first to be checked: when it is refused, the guest
 * has not been touched. And made anew to be kept: a block job may have ended meanwhile, and changed it.
 */
export const redefinition =
  ({ host, actor }: Context, to: (config: Domain) => Domain) =>
  (): Domain =>
    host.implementation.prepare(to(actor.config!), { before: actor.config }).domain;
