/** What the migration service tells of its own: the phases of each migration, and the guests of a host that is being emptied. */
import { z } from 'zod';
import { DrainGuest, Drain } from './drain';
import { HostName, Uuid } from './ids';
import { MigrationEnd, MigrationId, MigrationState, MigrationStep } from './migration';

/**
 * Types by entity: the token of the subject before the host. A migration tells each phase as it begins, but `finish` when the
 * guest runs on the target: nothing is written down while it stands still. Its last event is how it ended.
 */
export const moveEventTypes = {
  migration: [...MigrationStep.exclude(['done']).options, ...MigrationState.exclude(['running']).options],
  drain: ['begun', 'guest-moving', 'guest-moved', 'guest-stays', 'guest-gone', 'ended'],
} as const;

const happened = {
  id: z.string().describe('unique; also the Nats-Msg-Id it is deduplicated by'),
  type: z.string(),
  time: z.iso.datetime().describe('UTC'),
  commandId: z.string().describe('id of the command that caused it'),
};

export const MigrationEvent = z
  .object({
    ...happened,
    entity: z.literal('migration'),
    migration: MigrationId,
    domain: Uuid,
    name: z.string().describe('of the domain on the source'),
    source: MigrationEnd,
    target: MigrationEnd,
    reason: z.string().optional().describe('why it was cancelled or failed'),
  })
  .describe('a phase of a migration');
export type MigrationEvent = z.infer<typeof MigrationEvent>;

export const DrainEvent = z
  .object({
    ...happened,
    entity: z.literal('drain'),
    drain: MigrationId,
    host: HostName,
    state: Drain.shape.state,
    counts: Drain.shape.counts,
    guest: DrainGuest.optional().describe('of the types that begin with `guest`'),
  })
  .describe('a step of emptying a host');
export type DrainEvent = z.infer<typeof DrainEvent>;

export type MoveEvent = MigrationEvent | DrainEvent;
