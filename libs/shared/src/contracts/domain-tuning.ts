/** How much of its host a domain may take: asked for and changed, live, in the definition, or both. */
import { z } from 'zod';
import { Affect, BlockIoTuning, MemoryTuning, SchedulerTuning } from '../model';
import { contract, type ContractSpec } from './contract';
import { changed } from './domain-commands';

const affect = Affect.default('current');

const asked = <const O extends string, T extends z.ZodType>(operation: O, response: T, doc: string) =>
  contract({
    kind: 'query',
    entity: 'domain',
    operation,
    request: z.object({ affect: Affect.exclude(['both']).default('current') }),
    response,
    errors: ['OPERATION_INVALID'],
    doc,
    example: {},
  });

const set = <const O extends string, T extends z.ZodType>(
  operation: O,
  request: T,
  doc: string,
  example: ContractSpec<T, z.ZodType, never>['example'],
) =>
  contract({
    kind: 'cmd',
    entity: 'domain',
    operation,
    request,
    response: changed,
    errors: ['OPERATION_INVALID', 'OPERATION_FAILED', 'CONFIG_UNSUPPORTED', 'XML_ERROR', 'XML_DETAIL'],
    doc: `${doc} What is left out stays as it is.`,
    example,
  });

export const getScheduler = asked(
  'schedinfo',
  SchedulerTuning,
  'Share and quota of processor time. Of a running domain: what its host holds it to.',
);
export const setScheduler = set(
  'set-schedinfo',
  SchedulerTuning.extend({ affect }),
  'Change share and quota of processor time.',
  { shares: 512, quotaUs: 50_000, periodUs: 100_000 },
);

export const getMemoryLimits = asked(
  'memtune',
  MemoryTuning,
  'Limits of memory and swap. Of a running domain: what its host holds it to.',
);
export const setMemoryLimits = set(
  'set-memtune',
  MemoryTuning.extend({ affect }),
  'Change limits of memory and swap. One below what is in use is refused.',
  { hardKiB: 131_072 },
);

export const getBlockIo = asked('blkiotune', BlockIoTuning, 'Weight and limits of block I/O.');
export const setBlockIo = set(
  'set-blkiotune',
  BlockIoTuning.extend({ affect }),
  'Change weight and limits of block I/O, which are those of block devices of the host.',
  { weight: 500, devices: [{ path: '/dev/vda', readBytes: 10_485_760 }] },
);
