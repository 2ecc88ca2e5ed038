/**
 * What the domain service asks the storage service of a host before and after a guest runs there: which images its disks
 * stand on, and the leases on them. Not for users; the driver is told the outcome.
 *
 *   driver.storage ─▶ storage.prepare ─▶ driver.start        not started: storage.release
 *                                        … stopped ─▶ storage.settle
 */
import { z } from 'zod';
import { ChainDocument, DriverName, HostName, Uuid } from '../model';
import type { Contract } from './contract';
import { startDomain } from './domain-commands';
import { attachDevice, updateDevice } from './domain-devices';
import { driverContract } from './driver-contract';

const revision = z.number().int().nonnegative();
const epoch = z.number().int().nonnegative();
const disks = z.array(z.string().describe("libvirt's <disk>")).describe('disks of the domain');
const claim = z.string().describe('id of the command that it was taken for');

const uses = z
  .array(z.object({ claim, target: z.string().optional().describe('all that was taken when left out') }))
  .describe('claims that the driver has begun to use, or keeps to start the domain by itself');

/** Two domains can hold an image only if both share it. */
export const LeaseMode = z.enum(['exclusive', 'shared']);
export type LeaseMode = z.infer<typeof LeaseMode>;

/** One image that a domain holds. */
export const ImageLease = z.object({
  identity: z.string().describe('what makes the image this one: the same under all its names, on all its hosts'),
  path: z.string().describe('how the domain names it'),
  mode: LeaseMode,
  target: z.string().describe('the disk that stands on it'),
  fleet: z.boolean().describe('other hosts can reach the image too'),
});
export type ImageLease = z.infer<typeof ImageLease>;

/** Who holds an image. */
export const LeaseHolder = z.object({
  domain: Uuid,
  name: z.string(),
  host: HostName,
  driver: DriverName,
  epoch,
  claim,
});
export type LeaseHolder = z.infer<typeof LeaseHolder>;

export const LeaseConflict = z.object({ lease: ImageLease, holder: LeaseHolder });
export type LeaseConflict = z.infer<typeof LeaseConflict>;

/** What one disk stands on. */
export const PreparedDisk = z.object({
  target: z.string(),
  chain: ChainDocument.optional().describe('absent for a drive without a medium'),
});
export type PreparedDisk = z.infer<typeof PreparedDisk>;

/** What a driver gets with a command that opens images: the chains, and under what the leases were taken. */
export const Prepared = z.object({
  epoch,
  revision: revision.describe(
    'of the domain when its disks were looked at: a domain that has moved on is prepared anew',
  ),
  claim,
  disks: z.array(PreparedDisk),
});
export type Prepared = z.infer<typeof Prepared>;

/** Commands on a domain that may open images, so that storage has a part in them. */
export const opensImages: ReadonlySet<Contract> = new Set<Contract>([startDomain, attachDevice, updateDevice]);

/** In the body of a call to a driver that opens images, beside the user's own request. */
export const WithPrepared = z.object({ prepared: Prepared.optional() });

export const driverStorage = driverContract({
  operation: 'storage',
  request: z.object({
    afresh: z.boolean().default(false).describe('the disks of a boot that passes a managed save image over'),
    revoke: z.array(claim).default([]).describe('never begin what was prepared under these'),
  }),
  response: z.object({
    known: z.boolean().describe('false: it is not here, and nothing tells that it ever was'),
    since: z.number().describe('the driver knows all that has lived here since then, milliseconds since 1970'),
    name: z.string(),
    epoch,
    revision,
    active: z.boolean(),
    definition: disks.describe('of the definition, or of the managed save image that the next start restores'),
    live: disks.describe('of the guest that runs; empty when none does'),
    uses,
  }),
  timeoutMs: 5_000,
  doc: 'The disks of a domain, and whether its guest runs.',
});

export const storagePrepare = driverContract({
  operation: 'prepare',
  request: z.object({ driver: DriverName, name: z.string(), epoch, revision, uses, claim, disks }),
  response: z.object({
    disks: z.array(PreparedDisk),
    leases: z.array(ImageLease).describe('those that are taken now; none when others are in the way'),
    conflicts: z.array(LeaseConflict),
    released: z.array(z.string()).describe('identities that the domain held before and holds no longer'),
  }),
  timeoutMs: 30_000,
  doc: 'Find out what disks stand on, let go what the driver says that it no longer uses, and take the leases.',
});

const released = z.object({ released: z.array(z.string()).describe('identities that the domain holds no longer') });

export const storageRelease = driverContract({
  operation: 'release',
  request: z.object({ claims: z.array(claim) }),
  response: released,
  timeoutMs: 5_000,
  doc: 'What was taken for these commands is not used.',
});

export const storageSettle = driverContract({
  operation: 'settle',
  request: z.object({
    name: z.string(),
    driver: DriverName,
    epoch,
    revision,
    definition: disks,
    live: disks,
    uses,
  }),
  response: released,
  timeoutMs: 10_000,
  doc: "What the domain's driver says that it uses at this revision: leases of before that are let go.",
});

export const storageLeases = driverContract({
  operation: 'leases',
  request: z.object({ domain: Uuid.optional() }),
  response: z.object({
    holders: z.array(
      LeaseHolder.extend({
        revision,
        taken: z.number().describe('milliseconds since 1970'),
        leases: z.array(ImageLease),
      }),
    ),
  }),
  timeoutMs: 5_000,
  doc: 'Every lease of this host, or of one domain, by claim.',
});
