/**
 * Emptying a host: no new domain is placed on it (it is cordoned), and each guest that it has is moved, or named with every
 * reason why it stays. Served by the migration service; who is cordoned is the domain service's to know.
 */
import { z } from 'zod';
import { DomainSummary, Drain, DrainLimits, DriverName, HostName } from '../model';
import { contract } from './contract';
import { driverContract } from './driver-contract';
import { MigrationOptions } from './migration';

/** How guests that run are moved; of the others the definition is. */
export const DrainOptions = MigrationOptions.pick({
  unsafe: true,
  storage: true,
  synchronousWrites: true,
  postcopy: true,
  autoConverge: true,
  parallel: true,
  compression: true,
  bandwidth: true,
  downtimeMs: true,
  tls: true,
});
export type DrainOptions = z.infer<typeof DrainOptions>;

const served = { entity: 'host', servedBy: 'migration-service' } as const;
const told = z.object({ drain: Drain });

export const drainHost = contract({
  ...served,
  kind: 'cmd',
  operation: 'drain',
  queue: false,
  request: z.object({
    to: z.array(HostName).min(1).optional().describe('the only hosts that guests may go to; all others when left out'),
    limits: DrainLimits.prefault({}),
    ...DrainOptions.shape,
  }),
  response: told,
  errors: ['HOST_NOT_FOUND', 'HOST_OFFLINE', 'OPERATION_INVALID'],
  doc:
    'Place nothing new on a host and move away what it has. Answered when it has begun; a host that is being drained goes on ' +
    'with these limits, options and targets.',
  example: {},
});

export const undrainHost = contract({
  ...served,
  kind: 'cmd',
  operation: 'undrain',
  queue: false,
  request: z.object({}),
  response: z.object({
    drain: Drain.optional().describe('the one that this ends, or the last; absent when there was none'),
  }),
  errors: ['HOST_NOT_FOUND'],
  doc: 'Let domains be placed on the host again. A drain that runs is given up; what has moved stays where it is.',
  example: {},
});

export const abortDrain = contract({
  ...served,
  kind: 'cmd',
  operation: 'drain-abort',
  queue: false,
  request: z.object({}),
  response: told,
  errors: ['HOST_NOT_FOUND', 'OPERATION_INVALID'],
  doc: 'Move no more guests away, and give up what is on its way. Nothing new is placed on the host until it is undrained.',
  example: {},
});

export const showDrain = contract({
  ...served,
  kind: 'query',
  operation: 'drain-status',
  request: z.object({}),
  response: told,
  errors: ['HOST_NOT_FOUND', 'OPERATION_INVALID'],
  doc: 'The drain of a host that runs, or the last one: each guest, and how many are where.',
  example: {},
});

/** What the domain service is asked. */
export const hostCordon = driverContract({
  operation: 'host-cordon',
  request: z.object({ host: HostName, cordoned: z.boolean() }),
  response: z.object({}),
  timeoutMs: 10_000,
  doc: 'Place nothing new on a host from now on, or place domains there again. Kept in the registry.',
});

export const hostPlace = driverContract({
  operation: 'host-place',
  request: z.object({
    virtType: z.string(),
    arch: z.string(),
    memoryKiB: z.number().nonnegative().describe('0 for a definition'),
    among: z.array(HostName).optional(),
    except: z.array(HostName),
  }),
  response: z.object({ host: HostName.optional().describe('absent when none fits'), reason: z.string().optional() }),
  timeoutMs: 5_000,
  doc: 'The host on which such a domain would be placed, and its memory kept for a moment.',
});

export const hostDomains = driverContract({
  operation: 'host-domains',
  request: z.object({ host: HostName, driver: DriverName }),
  response: z.object({ domains: z.array(DomainSummary) }),
  timeoutMs: 10_000,
  doc: 'The domains that a driver had when it was last heard: it need not answer.',
});
