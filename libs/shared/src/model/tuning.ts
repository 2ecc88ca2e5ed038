/** How much of its host a guest may take: shares of the processors, memory, block I/O. */
import { z } from 'zod';

export const SchedulerTuning = z
  .object({
    shares: z
      .number()
      .int()
      .min(2)
      .max(262_144)
      .optional()
      .describe('of processor time, beside other guests; usual: 1024'),
    periodUs: z.number().int().min(1_000).max(1_000_000).optional().describe('µs; the time that the quota is for'),
    quotaUs: z
      .union([z.literal(-1), z.number().int().min(1_000)])
      .optional()
      .describe('µs of processor time in each period, all processors together; -1: no limit'),
  })
  .describe('processor time of a guest');
export type SchedulerTuning = z.infer<typeof SchedulerTuning>;

const limit = z.number().int().nonnegative().nullable().optional();

export const MemoryTuning = z
  .object({
    hardKiB: limit.describe('KiB that it never gets more of; null: what its memory is'),
    softKiB: limit.describe('KiB that it is held to when the host is short of memory; null: no limit'),
    swapHardKiB: limit.describe('KiB of memory and swap together; null: no limit'),
  })
  .describe('memory of a guest');
export type MemoryTuning = z.infer<typeof MemoryTuning>;

const weight = z.number().int().min(10).max(1_000).optional();
const rate = z.number().int().nonnegative().optional();

export const BlockIoTuning = z
  .object({
    weight: weight.describe('beside other guests, 10 to 1000'),
    devices: z
      .array(
        z.object({
          path: z.string().startsWith('/').describe('a block device of the host'),
          weight,
          readIops: rate.describe('requests a second; 0: no limit'),
          writeIops: rate,
          readBytes: rate.describe('bytes a second; 0: no limit'),
          writeBytes: rate,
        }),
      )
      .default([]),
  })
  .describe('block I/O of a guest');
export type BlockIoTuning = z.infer<typeof BlockIoTuning>;

/** All of it; a part is absent where the host cannot tell. */
export interface Tuning {
  cpu?: SchedulerTuning;
  memory?: MemoryTuning;
  blockIo?: BlockIoTuning;
}
