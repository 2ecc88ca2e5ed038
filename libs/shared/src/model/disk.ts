/** Disks of a guest: limits on their traffic, their sizes, and what went wrong with them. */
import { z } from 'zod';

/** The most that QEMU takes. */
const most = 1_000_000_000_000_000;
const rate = z.number().int().nonnegative().max(most).optional();
const seconds = z.number().int().nonnegative().max(0xffff_ffff).optional();

/** 0 is no limit. A total excludes limits for reading or writing of the same kind. */
export const DiskLimits = z
  .object({
    totalBytes: rate.describe('bytes a second, read and written'),
    readBytes: rate,
    writeBytes: rate,
    totalIops: rate.describe('requests a second'),
    readIops: rate,
    writeIops: rate,
    totalBytesMax: rate.describe('bytes a second for a short time'),
    readBytesMax: rate,
    writeBytesMax: rate,
    totalIopsMax: rate,
    readIopsMax: rate,
    writeIopsMax: rate,
    totalBytesMaxSeconds: seconds.describe('for how long the maximum may be used'),
    readBytesMaxSeconds: seconds,
    writeBytesMaxSeconds: seconds,
    totalIopsMaxSeconds: seconds,
    readIopsMaxSeconds: seconds,
    writeIopsMaxSeconds: seconds,
    iopsSize: rate.describe('a request of more bytes counts as several'),
    group: z.string().max(255).optional().describe('disks of one group share its limits; empty: no group'),
  })
  .describe('limits on the traffic of a disk');
export type DiskLimits = z.infer<typeof DiskLimits>;

const bytes = z.number().int().nonnegative();

export const DiskSizes = z
  .object({
    disk: z.string().describe('target'),
    path: z.string().optional().describe('of its image, where that has one; absent for a drive without a medium'),
    capacity: bytes.optional().describe('bytes that the guest sees'),
    allocation: bytes.optional().describe('bytes that the image takes up on its storage'),
    physical: bytes.optional().describe('length of the file or device, bytes'),
  })
  .describe('sizes of a disk; absent where nobody can tell');
export type DiskSizes = z.infer<typeof DiskSizes>;

export const DiskError = z
  .object({ disk: z.string().describe('target'), error: z.enum(['unspecified', 'no-space']) })
  .describe('why the guest got no answer from a disk');
export type DiskError = z.infer<typeof DiskError>;
