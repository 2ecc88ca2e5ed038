/**
 * A domain whose migration is `performed` here: until the other side has told how it went nobody knows whether it lives here, and
 * nothing is done with it. Whether it is one is in the book of migrations, so that this is nowhere else on disk.
 */
import { VirtError, type LifecycleDetail, type ReasonOf } from '@virtbus/shared';
import type { Actor } from './actor';
import type { GuestNews } from './driver';

interface End {
  reason: ReasonOf<'shutoff'>;
  detail: LifecycleDetail<'stopped'>;
}

export interface HandedOver {
  /** The id of the migration. */
  migration: string;
  /** Where it goes. */
  host: string;
  /** Its process here has ended; what becomes of the domain, the other side says. A driver that is started again finds that out anew. */
  ended?: End | undefined;
}

/** @throws RESOURCE_BUSY for a domain that was handed over to another host: it may live there by now */
export function mustBeHere({ record: { name }, handedOver }: Actor): void {
  if (!handedOver) return;
  const { host, migration } = handedOver;
  const detail =
    `domain '${name}' was handed over to host '${host}' by migration ${migration}, and what became of it there is not known yet: ` +
    `look at it (migrate-info ${migration}); give it up to have the domain back here (migrate-abort ${migration}; ` +
    `with --target-is-off once host '${host}' is known to be off)`;
  throw new VirtError('RESOURCE_BUSY', { detail });
}

/**
 * The domain lives on where it goes, or its end is told when it is known that it does not. Until then what the guest had
 * stays its own: it may have it there.
 */
export function endOnItsWay(actor: Actor, handedOver: HandedOver, { to, detail }: GuestNews & { kind: 'ended' }): void {
  actor.guest = undefined;
  handedOver.ended ??= { reason: to.reason, detail };
  actor.persist();
}

/**
 * What becomes of it is known.
 * @param end of a process that has ended by itself meanwhile; by its own when left out
 */
export function decideHandedOver(actor: Actor, end?: End): void {
  const ended = actor.handedOver?.ended;
  actor.handedOver = undefined;
  if (!ended) return;
  const { reason, detail } = end ?? ended;
  actor.hear({ kind: 'ended', to: { state: 'shutoff', reason }, detail, caused: end !== undefined });
}
