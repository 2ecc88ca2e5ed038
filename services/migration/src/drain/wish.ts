/** How somebody wants a host to be emptied, and what becomes of a drain that runs when he says so anew. */
import type { DrainLimits, DrainOptions } from '@virtbus/shared';
import type { DrainRecord } from './record';

export interface DrainWish {
  to?: string[] | undefined;
  limits: DrainLimits;
  options: DrainOptions;
}

/** What has kept a guest under other options, or from other targets, need not keep it now. */
export function wishedAnew(there: DrainRecord, wish: DrainWish): DrainRecord {
  const now = { ...there, ...wish };
  if (isSame(there, wish)) return now;
  const guests = there.guests.map((guest) => {
    const tried = guest.state === 'stays' || guest.state === 'waiting';
    return tried ? { ...guest, state: 'waiting' as const, reasons: [], failedOn: [] } : guest;
  });
  return { ...now, guests };
}

const isSame = (one: DrainWish, other: DrainWish): boolean =>
  JSON.stringify([one.to, one.options]) === JSON.stringify([other.to, other.options]);
