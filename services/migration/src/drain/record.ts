/** The journal of hosts that are being emptied: one entry a host, the last drain that it had. */
import {
  buckets,
  DrainGuest,
  DrainLimits,
  DrainOptions,
  DrainState,
  HostName,
  MigrationId,
  type Drain,
  type DrainGuestState,
} from '@virtbus/shared';
import type { Bus, Entry } from '@virtbus/shared/bus';
import { z } from 'zod';
import { Bucket } from '../bucket';

export const Guest = DrainGuest.extend({
  driver: z.string(),
  /** Of the domain when it was last seen on the host. */
  epoch: z.number(),
  /** Hosts on which a migration of it has failed. */
  failedOn: z.array(HostName),
});
export type Guest = z.infer<typeof Guest>;

export const DrainRecord = z.object({
  id: MigrationId,
  host: HostName,
  /** The command that asked for it. */
  cause: z.string(),
  state: DrainState,
  to: z.array(HostName).optional(),
  limits: DrainLimits,
  options: DrainOptions,
  guests: z.array(Guest),
  /** Why nobody knows whether all have left. */
  reasons: z.array(z.string()).optional(),
  /** Migrations that were begun. */
  begun: z.number().int(),
  /** It is to end: what is on its way is given up first. */
  stopping: z.boolean(),
  /** It has ended, and the stream may not have the event of it. */
  untold: z.boolean().optional(),
  /** The copy of the service that drives it. */
  copy: z.string(),
  started: z.number(),
  ended: z.number().optional(),
});
export type DrainRecord = z.infer<typeof DrainRecord>;
export type DrainEntry = Entry<DrainRecord>;

export class DrainJournal extends Bucket<DrainRecord> {
  constructor(bus: Bus, replicas: number) {
    super(bus, buckets.drains, DrainRecord, ({ host }) => host, replicas);
  }
}

export function countsOf(guests: readonly Guest[]): Drain['counts'] {
  const counts: Record<DrainGuestState, number> = { waiting: 0, moving: 0, moved: 0, stays: 0, gone: 0 };
  for (const { state } of guests) counts[state]++;
  return counts;
}

/** What users are told of it. */
export function told({ id, host, state, to, limits, guests, reasons, started, ended }: DrainRecord): Drain {
  return {
    ...{ id, host, state, limits, started, counts: countsOf(guests), guests: guests.map(guestTold) },
    ...(to && { to }),
    ...(reasons && { reasons }),
    ...(ended !== undefined && { ended }),
  };
}

export function guestTold({ uuid, name, active, state, target, migration, reasons }: Guest): DrainGuest {
  return { uuid, name, active, state, reasons, ...(target && { target }), ...(migration && { migration }) };
}
