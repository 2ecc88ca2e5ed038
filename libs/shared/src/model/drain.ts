/** What the bus tells about a host that is being emptied: which guests it had, where each went, and why one stays. */
import { z } from 'zod';
import { HostName, Uuid } from './ids';
import { MigrationId } from './migration';

/** `incomplete`: it has ended and guests are left, each with its reasons, or nobody knows whether some are. */
export const DrainState = z.enum(['running', 'drained', 'incomplete', 'aborted']);
export type DrainState = z.infer<typeof DrainState>;

/** `gone`: the domain has ended, or was undefined, while it waited. */
export const DrainGuestState = z.enum(['waiting', 'moving', 'moved', 'stays', 'gone']);
export type DrainGuestState = z.infer<typeof DrainGuestState>;

export const DrainGuest = z.object({
  uuid: Uuid,
  name: z.string(),
  active: z.boolean().describe('it moves while it runs; else its definition moves'),
  state: DrainGuestState,
  target: HostName.optional().describe('where it goes, or went'),
  migration: MigrationId.optional(),
  reasons: z.array(z.string()).describe('why it stays, or what its last migration failed for'),
});
export type DrainGuest = z.infer<typeof DrainGuest>;

const limit = z.number().int().min(1).max(1_000);

/** How many migrations may run at a time, those of others counted in. */
export const DrainLimits = z.object({
  perHost: limit.default(4).describe('that one host takes part in'),
  perLink: limit.default(2).describe('between two hosts'),
});
export type DrainLimits = z.infer<typeof DrainLimits>;

const ms = z.number().describe('milliseconds since 1970');

export const Drain = z
  .object({
    id: MigrationId.describe('id of the command that asked for it'),
    host: HostName,
    state: DrainState,
    to: z.array(HostName).optional().describe('the only hosts that guests may go to'),
    limits: DrainLimits,
    started: ms,
    ended: ms.optional(),
    counts: z.record(DrainGuestState, z.number().int()).describe('guests by state'),
    guests: z.array(DrainGuest),
    reasons: z
      .array(z.string())
      .optional()
      .describe('of `incomplete`: why nobody knows whether all have left: drivers of the host that do not answer'),
  })
  .describe('a host that is being emptied');
export type Drain = z.infer<typeof Drain>;
