/** Does what is written down about the fleet agree with what the hosts say? Asked by `virtbus verify`; changes nothing. */
import { z } from 'zod';
import { DriverName, HostName } from '../model';
import { contract } from './contract';
import { driverContract } from './driver-contract';

/** One disagreement. `kind` is a word for programs; `what` and `advice` are for people. */
export const Disagreement = z.object({
  kind: z.enum([
    'unregistered',
    'no-home',
    'elsewhere',
    'epoch',
    'name',
    'name-claim',
    'projection',
    'lease-unknown',
    'lease-missing',
    'lease-of-nobody',
    'stray-process',
    'leftover',
  ]),
  host: HostName.optional(),
  domain: z.string().optional().describe('uuid'),
  what: z.string(),
  advice: z.string(),
});
export type Disagreement = z.infer<typeof Disagreement>;

export const verifyFleet = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'verify',
  on: 'all',
  servedBy: 'domain-service',
  timeoutMs: 60_000,
  request: z.object({ host: HostName.optional().describe('what concerns this host alone') }),
  response: z.object({
    disagreements: z.array(Disagreement).describe('none when all is well'),
    domains: z.number().int().describe('domains that were compared'),
    leases: z.number().int().describe('leases that were compared'),
    copies: z.number().int().default(1).describe('copies of the domain service that were compared'),
    notAsked: z
      .array(z.object({ host: HostName, service: z.string(), reason: z.string() }))
      .describe('who did not answer: what they know was not compared'),
  }),
  errors: ['HOST_NOT_FOUND'],
  doc: 'Compare registry, names, projection and leases with what the hosts say. What is on its way settles within a second: only what is there at two looks is told.',
  example: {},
});

/** Asked of a driver: what lies about on its host that its records do not tell. */
export const driverLeftovers = driverContract({
  operation: 'leftovers',
  request: z.object({}),
  response: z.object({
    processes: z
      .array(z.object({ pid: z.number().int(), command: z.string() }))
      .describe('processes on run folders of ours that no running domain accounts for'),
    folders: z.array(z.string()).describe('folders of domains that do not live here'),
    driver: DriverName,
  }),
  timeoutMs: 10_000,
  doc: 'Processes and folders of ours that belong to no domain of this host.',
});
