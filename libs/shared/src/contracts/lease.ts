/** Who holds which image, as the hosts' books and the fleet's table tell it; letting go of what nobody will ever let go of. */
import { z } from 'zod';
import { DriverName, HostName, Uuid } from '../model';
import { contract } from './contract';
import { LeaseMode } from './storage';

/** An image that a domain holds on one host. */
export const HeldImage = z.object({
  path: z.string().describe('how the domain names it'),
  identity: z.string(),
  mode: LeaseMode.optional().describe('absent where only the fleet tells of it'),
  domain: Uuid,
  name: z.string(),
  host: HostName,
  driver: DriverName,
  book: z
    .boolean()
    .optional()
    .describe("it stands in the book of its host's storage service; absent when that does not answer"),
  fleet: z.boolean().describe('it is leased for the fleet'),
});
export type HeldImage = z.infer<typeof HeldImage>;

export const listLeases = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'leases',
  on: 'all',
  servedBy: 'domain-service',
  timeoutMs: 15_000,
  request: z.object({
    host: HostName.optional().describe('what is held there alone'),
    domain: z.string().optional().describe('name or uuid of the one whose leases are asked for'),
  }),
  response: z.object({
    leases: z.array(HeldImage),
    notAsked: z.array(z.object({ host: HostName, reason: z.string() })).describe('hosts whose books could not be read'),
  }),
  errors: ['HOST_NOT_FOUND', 'DOMAIN_NOT_FOUND'],
  doc: 'The images that domains hold, from the books of the hosts and from what the fleet knows.',
  example: {},
});

export const dropLeases = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'drop-leases',
  servedBy: 'domain-service',
  role: 'admin',
  queue: false,
  request: z.object({
    host: HostName.optional().describe('only what it holds there'),
    hostIsGone: z
      .boolean()
      .default(false)
      .describe('the host does not answer and never will, and no guest of its runs: its word is not waited for'),
  }),
  response: z.object({ dropped: z.array(HeldImage).describe('none when the domain holds nothing of the kind') }),
  errors: ['IMAGE_IN_USE', 'HOST_OFFLINE'],
  doc: 'Let go of images that a domain holds and does not use: of one that is gone, or whose host was set up anew. Refused for an image that its driver uses, or while the driver cannot be asked.',
  example: { host: 'h1' },
});
