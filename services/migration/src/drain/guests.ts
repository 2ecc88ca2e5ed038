/**
 * What becomes of the guests of a host that is being emptied, from what is seen: those that live there now, and how their
 * migrations ended. No order of events is remembered, so a guest that was started meanwhile is one like the others.
 */
import { isActive, type DomainSummary } from '@virtbus/shared';
import { reasonOf, type Saga } from '../journal';
import type { Guest } from './record';

/** On so many hosts it is tried before it stays. */
const tries = 3;

export interface Seen {
  /** Domains on the host; undefined while it cannot be asked. */
  here: readonly DomainSummary[] | undefined;
  /** Drivers of the host that did not answer: of their guests nothing is known. */
  silent: ReadonlySet<string>;
  /** Domains of such drivers as the fleet knew them last: they may be there. */
  remembered: readonly DomainSummary[];
  /** A migration as its journal has it, wherever that was asked for. */
  migration: (id: string) => Saga | undefined;
  /** The migration that took a domain away from the host, if one has. */
  takenBy: (uuid: string) => Saga | undefined;
}

export function follow(guests: readonly Guest[], seen: Seen): Guest[] {
  const here = new Map(seen.here?.map((domain) => [domain.uuid, domain]));
  const known = guests.map((guest) => {
    if (seen.silent.has(guest.driver) && guest.state !== 'moving') return guest;
    return next(guest, here.get(guest.uuid), seen);
  });
  const news = [...here.values(), ...seen.remembered].filter(
    ({ uuid }) => !guests.some((guest) => guest.uuid === uuid),
  );
  return [...known, ...news.map(newGuest)];
}

function newGuest(domain: DomainSummary): Guest {
  const { uuid, name, driver, epoch, state } = domain;
  return { uuid, name, driver, epoch, active: isActive(state), state: 'waiting', reasons: [], failedOn: [] };
}

function next(guest: Guest, domain: DomainSummary | undefined, seen: Seen): Guest {
  switch (guest.state) {
    case 'moving':
      return afterMigration(guest, seen);
    case 'moved':
    case 'gone':
      // It is shown until its source has confirmed that it left; under a later epoch it has come back.
      return domain && (guest.state === 'gone' || domain.epoch > guest.epoch) ? newGuest(domain) : guest;
    default: {
      if (!domain) return left(guest, seen);
      const now = { ...guest, name: domain.name, epoch: domain.epoch };
      // What kept a guest that ran need not keep its definition, nor the other way round.
      return guest.active === isActive(domain.state) ? now : newGuest(domain);
    }
  }
}

function afterMigration(guest: Guest, { migration: find }: Seen): Guest {
  const saga = guest.migration === undefined ? undefined : find(guest.migration);
  const { migration: _over, target, ...rest } = guest;
  // Its journal was lost before it had begun.
  if (!saga) return { ...rest, state: 'waiting' };
  const { settled } = saga.ledger;
  if (!settled) return guest;
  if (settled === 'completed') return { ...guest, state: 'moved', reasons: [] };
  const reason = `to ${saga.target.host}: ${reasonOf(saga.ledger) ?? settled}`;
  if (settled === 'cancelled') return { ...rest, state: 'stays', reasons: [reason] };
  const failedOn = [...guest.failedOn, ...(target ? [target] : [])];
  const reasons = [...guest.reasons, reason];
  return { ...rest, state: failedOn.length < tries ? 'waiting' : 'stays', reasons, failedOn };
}

/** Somebody else has moved or ended it. */
function left(guest: Guest, { takenBy }: Seen): Guest {
  const saga = takenBy(guest.uuid);
  if (!saga) return { ...guest, state: 'gone', reasons: [] };
  return { ...guest, state: 'moved', reasons: [], target: saga.target.host, migration: saga.id };
}
