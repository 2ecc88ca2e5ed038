/** What the bus tells about a migration: how far it is, what moves, how it ended. Sizes in bytes, rates in bytes a second. */
import { z } from 'zod';
import { DriverName, HostName, Uuid } from './ids';

const count = z.number().nonnegative();

/** The id of the command that asked for it: the same command again is the same migration. */
export const MigrationId = z
  .string()
  .regex(/^[A-Za-z0-9=_-]{1,128}$/, 'must be letters, digits, =, _ and -, at most 128 of them')
  .describe('id of a migration: that of the command that asked for it');
export type MigrationId = z.infer<typeof MigrationId>;

/** `running` until the guest's place is settled; the other three are ends. */
export const MigrationState = z.enum(['running', 'completed', 'cancelled', 'failed']);
export type MigrationState = z.infer<typeof MigrationState>;

/**
 * What is done, or was done last. `recover` joins the halves of a post-copy migration whose link broke; `withdraw` takes
 * back what was begun.
 */
export const MigrationStep = z.enum([
  ...['claim', 'begin', 'prepare', 'perform', 'finish', 'recover', 'handover', 'confirm', 'withdraw', 'done'],
] as const);
export type MigrationStep = z.infer<typeof MigrationStep>;

/** What a transfer has sent and has yet to send. What QEMU does not tell is absent. */
export const MigrationProgress = z
  .object({
    elapsedMs: count,
    memory: z
      .object({ total: count, processed: count, remaining: count, rate: count.optional().describe('bytes a second') })
      .optional(),
    disks: z.object({ total: count, processed: count, remaining: count }).optional(),
    dirtyRate: count.optional().describe('bytes of memory that the guest changes a second'),
    pass: z.number().int().optional().describe('how often the memory has been gone over'),
    expectedDowntimeMs: count.optional(),
    downtimeMs: count.optional().describe('for how long the guest stood still; known at the end'),
    setupMs: count.optional(),
    throttle: z.number().optional().describe('per cent by which auto-converge slows the guest'),
    pageSize: count.optional(),
    pages: z
      .object({
        constant: count.describe('that hold one byte throughout, and were told as that'),
        normal: count.describe('that were sent whole'),
        normalBytes: count,
        postcopyRequests: count.optional().describe('that the target asked for in post-copy'),
      })
      .optional(),
  })
  .describe('progress of a migration');
export type MigrationProgress = z.infer<typeof MigrationProgress>;

/** One end of a migration. */
export const MigrationEnd = z.object({ host: HostName, driver: DriverName });
export type MigrationEnd = z.infer<typeof MigrationEnd>;

export const Migration = z
  .object({
    id: MigrationId,
    domain: Uuid,
    name: z.string(),
    source: MigrationEnd,
    target: MigrationEnd,
    state: MigrationState,
    step: MigrationStep,
    reason: z.string().optional().describe('why it was cancelled or failed, or what it waits for'),
    started: z.number().describe('milliseconds since 1970'),
    ended: z.number().optional().describe('milliseconds since 1970'),
    owed: z
      .array(z.enum(['source', 'target']))
      .describe('who has yet to be told how it ended: a host that is away is told when it is back'),
    limits: z
      .object({
        bandwidth: count.optional().describe('bytes a second for memory'),
        postcopyBandwidth: count.optional(),
        downtimeMs: count.optional().describe('how long the guest may stand still'),
      })
      .describe('none where left out'),
    progress: MigrationProgress.optional(),
  })
  .describe('a migration');
export type Migration = z.infer<typeof Migration>;
