/** What is asked of and done to disks of a domain: their size, limits on their traffic, thresholds, errors. */
import { z } from 'zod';
import { Affect, DiskError, DiskLimits, DiskSizes } from '../model';
import { contract } from './contract';
import { changed } from './domain-commands';

const affect = Affect.default('current');
const disk = z.string().min(1).describe('target of the disk (vda), or the path of its image');
const bytes = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);

const diskErrors = [
  'INVALID_ARG',
  'OPERATION_INVALID',
  'OPERATION_FAILED',
  'OPERATION_UNSUPPORTED',
  'CONFIG_UNSUPPORTED',
  'SYSTEM_ERROR',
  'IMAGE_INVALID',
] as const;

export const resizeDisk = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'block-resize',
  request: z.object({
    disk,
    bytes: bytes.min(1).optional().describe('the new size; rounded up to whole sectors'),
    capacity: z
      .boolean()
      .default(false)
      .describe('take all of the device or file that a raw image lies in, which has grown'),
    shrink: z.boolean().default(false).describe('allow that the end of the disk is cut off, with all that is in it'),
  }),
  response: changed.extend({ bytes: bytes.describe('the size that the guest sees now') }),
  errors: [...diskErrors, 'BLOCK_COPY_ACTIVE'],
  doc: 'Change the size of a disk while its guest runs; the image grows with it.',
  example: { disk: 'vda', bytes: 10_737_418_240 },
});

export const getDiskLimits = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'blkdeviotune',
  request: z.object({ disk, affect: Affect.exclude(['both']).default('current') }),
  response: DiskLimits,
  errors: ['INVALID_ARG', 'OPERATION_INVALID'],
  doc: 'Limits on the traffic of a disk; what is not limited is absent.',
  example: { disk: 'vda' },
});

export const setDiskLimits = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'set-blkdeviotune',
  request: DiskLimits.extend({ disk, affect }),
  response: changed,
  errors: diskErrors,
  doc: 'Limit the traffic of a disk. A kind of limit (bytes, requests, their maxima) of which nothing is given stays as it is; of one that is given, the others are lifted. Disks of one group are limited together.',
  example: { disk: 'vda', totalBytes: 10_485_760, totalIops: 500 },
});

export const setDiskThreshold = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'block-threshold',
  request: z.object({
    image: z
      .string()
      .min(1)
      .describe('vda is the active image of disk vda, vda[3] the image of its chain with number 3'),
    bytes: bytes.describe('offset in the file or device; 0: no threshold'),
  }),
  response: changed,
  errors: diskErrors,
  doc: 'Tell once, by an event `block-threshold`, when something is written beyond this offset of an image. It has to be set again then.',
  example: { image: 'vda', bytes: 1_073_741_824 },
});

export const getDiskSizes = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'block-info',
  request: z.object({ disk: disk.optional().describe('all disks when left out') }),
  response: z.object({ disks: z.array(DiskSizes) }),
  errors: diskErrors,
  doc: 'Sizes of disks, of a domain that runs or does not.',
  example: { disk: 'vda' },
});

export const getDiskErrors = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'block-errors',
  request: z.object({}),
  response: z.object({ errors: z.array(DiskError) }),
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED'],
  doc: 'Disks of a running guest that have failed it; a guest that is paused for an I/O error waits for them.',
  example: {},
});
