/** What a driver says of a domain, brought to the storage service of its host. */
import { storageRelease, storageSettle, type driverStorage, type LeaseHolder } from '@virtbus/shared';
import { callDriver, type Bus, type CallContext } from '@virtbus/shared/bus';
import type { z } from 'zod';
import type { At } from '../hosts';
import type { FleetLeases } from './fleet-leases';

export type Look = z.output<typeof driverStorage.response>;
export type Settled = z.output<typeof storageSettle.response>;

/** Storage gets the driver's word; what is held no longer goes from the fleet's book, too. */
export async function bringWord(
  { bus, leases }: { bus: Bus; leases: FleetLeases },
  { host, driver }: At,
  look: Look,
  more: Pick<z.input<typeof storageSettle.request>, 'sure' | 'revoked' | 'undone'>,
  context: Partial<CallContext> & { domain: string },
): Promise<Settled> {
  const { name, epoch, revision, definition, live, uses } = look;
  const request = { name, driver, epoch, revision, definition, live, uses, ...more };
  const settled = await callDriver(bus, { host, driver: 'storage' }, storageSettle, request, context);
  await leases.drop({ domain: context.domain, host }, settled.released);
  return settled;
}

/**
 * Claims that the driver does not use, and never will, are let go. Not so what one of its disks has gone over to since: by its
 * word, that is leased for the disk itself.
 * @param undone the commands came to nothing: so are the files that were made for them
 * @returns what the domain holds all the same
 */
export async function letGoUnused(
  fleet: { bus: Bus; leases: FleetLeases },
  { domain, host, driver, epoch }: Pick<LeaseHolder, 'domain' | 'host' | 'driver' | 'epoch'>,
  claims: readonly string[],
  look: Look,
  { undone = false, context = {} }: { undone?: boolean; context?: Partial<CallContext> } = {},
): Promise<Settled['holds']> {
  const about = { ...context, domain };
  const revoked = [...claims];
  let holds: Settled['holds'] = [];
  // A word of an earlier life says nothing of this one.
  if (look.known && !look.incoming && look.epoch >= epoch) {
    const settled = await bringWord(fleet, { host, driver }, look, { revoked, undone }, about);
    // Absent where a later word is known, and from one of the last release: it has not revoked anything.
    if (settled.unread) return settled.holds;
    holds = settled.holds.filter(({ claim }) => !revoked.includes(claim));
  }
  const storage = { host, driver: 'storage' };
  const { released } = await callDriver(fleet.bus, storage, storageRelease, { claims: revoked, undone }, about);
  await fleet.leases.drop({ domain, host }, released);
  return holds;
}
