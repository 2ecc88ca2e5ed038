/**
 * What the domain service asks the storage service of a host before and after a guest runs there: which images its disks
 * stand on, and the leases on them. Not for users; the driver is told the outcome.
 *
 *   driver.storage ─▶ storage.prepare ─▶ driver.start        not started: storage.release
 *                                        … stopped ─▶ storage.settle
 *
 * A block operation goes the same way: its driver, shown the command, answers with the images that it needs (decision 0014).
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

const mayMiss = z.array(z.string()).describe('disks that a start does without where their image is missing');
const missing = z.array(z.string()).describe('disks and needs that may be missing, and whose image is');

/** Two domains can hold an image only if both share it. */
export const LeaseMode = z.enum(['exclusive', 'shared']);
export type LeaseMode = z.infer<typeof LeaseMode>;

/** One image that a domain holds. */
export const ImageLease = z.object({
  identity: z.string().describe('what makes the image this one: the same under all its names, on all its hosts'),
  path: z.string().describe('how the domain names it'),
  mode: LeaseMode,
  target: z.string().describe('the disk that stands on it, or the name of the need that it was taken for'),
  fleet: z.boolean().describe('other hosts can reach the image too'),
  made: z.boolean().optional().describe('its file was made for this command: nobody else knows of it yet'),
  held: z.boolean().optional().describe('the domain held the image before, under whichever mode'),
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

/**
 * An image that a block operation needs beside what the disk stands on.
 *
 * - `create`: an empty file that is not there yet, or a block device; nothing has it open
 * - `write`: an image that is there, to be written to, or removed: refused while anybody else stands on it
 * - `open`: an image that is there with all that it stands on, opened like a disk of a start
 */
export const ImageNeed = z.object({
  name: z.string().describe('what the operation calls it, with the disk at its end: overlay:vda, mirror:vda, base:vda'),
  target: z.string().describe('the disk that it belongs to'),
  disk: z.string().describe("the image as libvirt's <disk>"),
  use: z.enum(['create', 'write', 'open']),
  on: z
    .string()
    .optional()
    .describe("what a file that is made is to stand on, as libvirt's <disk>: it is made whole where it can be"),
  mayMiss: z.boolean().optional().describe('the operation does without it where its image is missing: `open` alone'),
  mayStay: z
    .boolean()
    .optional()
    .describe(
      'the operation leaves it as it is, and goes without it, where it cannot be read, or others stand on one that it is to write to',
    ),
});
export type ImageNeed = z.infer<typeof ImageNeed>;

/** The disk that a lease belongs to, taken for the disk itself or for a need of its: `vda` of `mirror:vda`. */
export const diskOfNeed = (name: string): string => name.slice(name.lastIndexOf(':') + 1);

/** Whether it is what an operation needs beside the disk. */
export const isNeed = (name: string): boolean => name.includes(':');

/** A disk that a guest brings along from another host: its image is made where it is missing. */
export const DiskCopy = z.object({
  disk: z.string().describe("libvirt's <disk>"),
  capacity: z.number().int().nonnegative().describe('bytes'),
});
export type DiskCopy = z.infer<typeof DiskCopy>;

/** What was made or opened for a need. */
export const PreparedImage = z.object({
  name: z.string(),
  target: z.string(),
  chain: ChainDocument.describe('of one layer when it was made: empty, or whole when it tells what it stands on'),
});
export type PreparedImage = z.infer<typeof PreparedImage>;

/** What a driver gets with a command that opens images: the chains, and under what the leases were taken. */
export const Prepared = z.object({
  epoch,
  revision: revision.describe(
    'of the domain when its disks were looked at: a domain that has moved on is prepared anew',
  ),
  claim,
  disks: z.array(PreparedDisk),
  images: z.array(PreparedImage).default([]).describe('what the operation needs, as it planned'),
  missing: missing.optional(),
});
export type Prepared = z.infer<typeof Prepared>;

const opensDisks: ReadonlySet<Contract> = new Set<Contract>([startDomain, attachDevice, updateDevice]);

/** A command on a domain that may open images, so that storage has a part in it. */
export const opensImages = (c: Contract): boolean => c.plansImages === true || opensDisks.has(c);

/** In the body of a call to a driver that opens images, beside the user's own request. */
export const WithPrepared = z.object({ prepared: Prepared.optional() });

export const driverStorage = driverContract({
  operation: 'storage',
  request: z.object({
    afresh: z.boolean().default(false).describe('the disks of a boot that passes a managed save image over'),
    revoke: z.array(claim).default([]).describe('never begin what was prepared under these'),
    command: z
      .object({ operation: z.string(), request: z.unknown() })
      .optional()
      .describe('a command that plans its images: it is planned, nothing is done'),
  }),
  response: z.object({
    known: z.boolean().describe('false: it is not here, and nothing tells that it ever was'),
    since: z.number().describe('the driver knows all that has lived here since then, milliseconds since 1970'),
    name: z.string(),
    epoch,
    revision,
    active: z.boolean(),
    incoming: z.boolean().optional().describe('it is on its way here, and lives on another host'),
    definition: disks.describe('of the definition, or of the managed save image that the next start restores'),
    live: disks.describe('of the guest that runs; empty when none does'),
    uses,
    mayMiss: mayMiss
      .optional()
      .describe('of `definition`; absent from a driver that starts with all of its disks or not'),
    needs: z.array(ImageNeed).optional().describe('of the command; none when it was answered before'),
  }),
  timeoutMs: 5_000,
  doc: 'The disks of a domain, and whether its guest runs; for a command that plans its images, those too.',
});

export const storagePrepare = driverContract({
  operation: 'prepare',
  request: z.object({
    driver: DriverName,
    name: z.string(),
    epoch,
    revision,
    uses,
    claim,
    disks,
    mayMiss: mayMiss.default([]),
    needs: z.array(ImageNeed).default([]),
    copies: z.array(DiskCopy).default([]).describe('disks whose images are made first where they are missing'),
  }),
  response: z.object({
    disks: z.array(PreparedDisk),
    images: z.array(PreparedImage).optional().describe('those of the needs'),
    missing: missing.optional(),
    leases: z.array(ImageLease).describe('those that are taken now; none when others are in the way'),
    conflicts: z.array(LeaseConflict),
    released: z.array(z.string()).describe('identities that the domain held before and holds no longer'),
  }),
  timeoutMs: 30_000,
  doc: 'Find out what disks stand on, make the files that are needed, let go what the driver says that it no longer uses, and take the leases.',
});

const released = z.object({ released: z.array(z.string()).describe('identities that the domain holds no longer') });

export const storageRelease = driverContract({
  operation: 'release',
  request: z.object({
    claims: z.array(claim),
    undone: z.boolean().default(false).describe('the commands came to nothing: files that were made for them go too'),
  }),
  response: released,
  timeoutMs: 5_000,
  doc: 'What was taken for these commands is not used. A file that was made and is still empty is removed.',
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
    revoked: z.array(claim).default([]).describe('the driver never begins what was prepared under these'),
    undone: z.boolean().default(false).describe('what was revoked came to nothing: files that were made for it go too'),
    sure: z.boolean().default(false).describe('nothing is at work on the disks: what differs is told to the world'),
  }),
  response: released.extend({
    holds: z.array(z.object({ claim, leases: z.array(ImageLease) })).describe('all that the domain holds now'),
    unread: z
      .array(z.string())
      .optional()
      .describe(
        'disks with images that cannot be read: what operations on them have taken stays held until they can be; absent where a later word is known',
      ),
    differs: z.array(z.string()).describe('disks whose images say otherwise than the document, not told of before'),
  }),
  timeoutMs: 10_000,
  doc: "What the domain's driver says that it uses at this revision: the images of running disks are read again and leased, leases of before that are let go.",
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
    standing: z
      .array(Uuid)
      .optional()
      .describe('domains of which it is written down on what they stand, running or defined; where no domain is named'),
    preparing: z.array(claim).optional().describe('claims that this process is preparing right now'),
  }),
  timeoutMs: 5_000,
  doc: 'Every lease of this host, or of one domain, by claim.',
});
