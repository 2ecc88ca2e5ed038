/**
 * Jobs on the images of a running guest's disk. A command is answered when its job has begun; `block-jobs` tells how far it
 * is, an event `block-job` how it ended. Images are named as libvirt names them: a path, `vda[3]`, or a name relative to the
 * image above.
 */
import { z } from 'zod';
import { BlockJob } from '../model';
import { contract } from './contract';
import { changed, imageErrors } from './domain-commands';

const disk = z.string().min(1).describe('target of the disk (vda), or the path of its active image');
const bandwidth = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).default(0);
const limited = bandwidth.describe('limit, bytes per second; 0 is none');
const relative = z.boolean().default(false).describe('headers that name their base relatively go on doing so');
const begun = changed.extend({ job: BlockJob });

const jobErrors = [
  'INVALID_ARG',
  'OPERATION_INVALID',
  'OPERATION_FAILED',
  'OPERATION_UNSUPPORTED',
  'CONFIG_UNSUPPORTED',
  'BLOCK_COPY_ACTIVE',
  'DEVICE_MISSING',
  'SYSTEM_ERROR',
] as const;
const openingErrors = [...jobErrors, 'RESOURCE_BUSY', ...imageErrors] as const;

export const pullBlocks = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'block-pull',
  request: z.object({
    disk,
    base: z.string().min(1).optional().describe('stays below the active image; nothing does when left out'),
    bandwidth: limited,
    relative,
  }),
  response: begun,
  errors: openingErrors,
  doc: 'Copy what the images below the active one hold into it, so that it stands on `base`, or on nothing.',
  example: { disk: 'vda' },
});

export const commitBlocks = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'block-commit',
  plansImages: true,
  request: z.object({
    disk,
    top: z.string().min(1).optional().describe('the uppermost image to merge; the active one when left out'),
    base: z.string().min(1).optional().describe('the image to merge into; the lowest of the chain when left out'),
    shallow: z.boolean().default(false).describe('the base is the image right below `top`'),
    active: z.boolean().default(false).describe('allow that the active image is merged: ends by pivot or abort'),
    delete: z.boolean().default(false).describe('remove the files of merged images when all went well'),
    bandwidth: limited,
    relative,
  }),
  response: begun,
  errors: openingErrors,
  doc: 'Merge images of a chain downwards into one below them. With the active image the job becomes `ready` and stays so until it is pivoted or aborted.',
  example: { disk: 'vda', top: 'vda[2]', shallow: true },
});

export const copyBlocks = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'block-copy',
  plansImages: true,
  request: z.object({
    disk,
    xml: z.string().describe("libvirt's <disk>: where the copy lies and its format; the source's when it says none"),
    shallow: z.boolean().default(false).describe('copy the active image only; the copy stands on the same base'),
    reuseExternal: z.boolean().default(false).describe('the target is there already, as it has to be'),
    transientJob: z
      .boolean()
      .default(false)
      .describe('of a persistent domain: agreed that the copy does not outlive the run of the guest'),
    bandwidth: limited,
    granularity: z
      .number()
      .int()
      .positive()
      .optional()
      .describe('bytes that one bit of what is still to copy stands for'),
    bufferSize: z.number().int().nonnegative().optional().describe('bytes in flight'),
    synchronousWrites: z.boolean().default(false).describe('a write of the guest is done when the copy has it too'),
  }),
  response: begun,
  errors: [...openingErrors, 'XML_ERROR', 'XML_DETAIL'],
  doc: 'Copy a disk while the guest uses it. The job becomes `ready` and mirrors what is written until it is pivoted to the copy or aborted.',
  example: { disk: 'vda', xml: "<disk type='file'><source file='/srv/copy.qcow2'/></disk>", transientJob: true },
});

export const listBlockJobs = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'block-jobs',
  request: z.object({ disk: disk.optional() }),
  response: z.object({ jobs: z.array(BlockJob) }),
  errors: ['OPERATION_INVALID', 'INVALID_ARG'],
  doc: 'The block jobs of a guest, or of one of its disks. A job that has ended is in no list: its event tells how.',
  example: {},
});

export const abortBlockJob = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'block-job-abort',
  request: z.object({
    disk,
    pivot: z.boolean().default(false).describe('end a job that is `ready` by going over to its target'),
    wait: z.boolean().default(true).describe('answer when it has ended'),
  }),
  response: changed,
  errors: jobErrors,
  doc: 'End the job of a disk: pivot to its target, or give it up.',
  example: { disk: 'vda', pivot: true },
});

export const setBlockJobSpeed = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'block-job-speed',
  request: z.object({ disk, bandwidth: limited }),
  response: changed,
  errors: jobErrors,
  doc: 'Limit the job of a disk while it runs.',
  example: { disk: 'vda', bandwidth: 10_485_760 },
});
