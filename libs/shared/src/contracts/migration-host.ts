/**
 * What the migration service asks the two hosts of a migration, and the domain service. Not for users.
 *
 *   source:  absent ─▶ begun ─▶ performing ─▶ performed ─▶ confirmed
 *              └──────────┴─────────┴────────────┴──────▶ undone
 *   target:  absent ─▶ prepared ─▶ finishing ─▶ finished
 *              └──────────┴───────────┴───────▶ undone
 *
 * Who may let the guest run follows from these phases, and from nothing else:
 *
 * - the source, until it is `performed`: from there it resumes only when told that the target is `undone`;
 * - nobody, while the source is `performed` and the target not `finishing`;
 * - the target, from `finishing`.
 *
 * So what every driver must keep, whatever is lost, sent twice or late:
 *
 * 1. A phase is on disk before its effect: `performed` before anybody is told of it, and before what cannot be taken back
 *    (post-copy); `finishing` before the guest may run, `undone` before the source's guest runs again.
 * 2. A phase never goes back. `undone`, `finished` and `confirmed` are final, and remembered for a day, also by a host
 *    that had heard nothing before: a call that comes late is answered with the phase and does nothing.
 * 3. The same call again joins what it began, or gives the view that its end left, with the same cookie.
 * 4. A call that the phase does not allow is no error: it does nothing and answers with the view as it is.
 * 5. After a restart the driver finds out how far the hypervisor got. `performing`: the target was not told to go on (rule
 *    1), so the transfer is cancelled, the guest runs as before, `undone`. `prepared`: it waits on; without its process it is
 *    `undone`. `finishing`: the guest is let run, or is found running; one whose process is gone may have run, so it is
 *    `finished` and shut off. Only a hypervisor that refused to let it run makes it `undone`.
 *
 * 6. The target lists the domain in its inventory, and tells events of it, from `finishing` on; the source until it is
 *    `confirmed`. Until then the source answers for the domain, and refuses what would start or end it. A process of a
 *    `performed` guest that ends at the source ends nothing: its images stay its own, and what became of it the target tells.
 * 7. `performed` may be told while the last of the memory is on its way, where the hypervisor lets the guest run again by
 *    itself only when the target can never have all of it. The target waits for it, for a time, in `finishing`; what has not
 *    come then was never run there, so it becomes `undone`.
 *
 * What refuses the guest before a phase is reached is told as an error by `begin`, `prepare` and `check` alone; what fails
 * later makes the side `undone` with `error` in its view. A domain that is not here is no error either, but to `begin`.
 * The domain is named in the header; `id` is the migration's. Cookies are opaque bytes of at most 4 MiB.
 */
import { z } from 'zod';
import { DomainState, MigrationEnd, MigrationId, MigrationProgress, Uuid } from '../model';
import { driverContract } from './driver-contract';
import { MigrationOptions, MigrationReason } from './migration';
import { Prepared } from './storage';

const id = MigrationId;
const epoch = z.number().int().nonnegative();
const revision = z.number().int().nonnegative();
const cookie = z.instanceof(Uint8Array).describe('opaque; handed over as it came');

export const MigrationRole = z.enum(['source', 'target']);
export type MigrationRole = z.infer<typeof MigrationRole>;

export const MigrationPhase = z.enum([
  ...['absent', 'begun', 'performing', 'performed', 'confirmed', 'prepared', 'finishing', 'finished', 'undone'],
] as const);
export type MigrationPhase = z.infer<typeof MigrationPhase>;

/** All that one side knows of a migration. Every call below but `check` answers with it. */
export const MigrationView = z.object({
  phase: MigrationPhase,
  cookie: cookie.optional().describe('of `begun`, `prepared`, `performed`, `finished`: what the next step is given'),
  xml: z
    .string()
    .optional()
    .describe('of `begun`: the document that the target starts; live, with secrets, migratable'),
  copies: z
    .array(z.object({ target: z.string(), capacity: z.number().int().nonnegative() }))
    .optional()
    .describe('of `begun`: disks that are copied, with their size in bytes'),
  definition: z.string().optional().describe('of `begun`: what a persistent domain is defined as on the target'),
  autostart: z.boolean().optional().describe('of `begun`: the domain starts with its host, there too'),
  preparing: z
    .boolean()
    .optional()
    .describe('of `absent`, on the target: whether a `prepare` is under way; a host of an older release does not say'),
  uri: z.string().optional().describe('of `prepared`: where the source sends the memory'),
  memory: z
    .enum(['whole', 'arriving', 'stranded', 'awaiting'])
    .optional()
    .describe(
      'of `finished`: `arriving` during post-copy; `stranded` when its link broke; `awaiting` the source after `prepare` ' +
        'with `recover`. The source is needed until it is `whole`.',
    ),
  lost: z
    .boolean()
    .optional()
    .describe(
      'in post-copy, of `performed`: the process that has the rest of the memory is gone; of `finished`: the guest has ended ' +
        'for want of it, and waits for none any more; of `undone`: it has ended because the target was gone',
    ),
  postcopy: z
    .boolean()
    .optional()
    .describe(
      'of `performed`: post-copy has begun. The guest goes on on the target, or ends: nobody can let it run here',
    ),
  silent: z
    .boolean()
    .optional()
    .describe(
      'in post-copy, of `finished` and `arriving`: the hypervisor has not answered for half a minute. It may stand still over ' +
        'memory that never comes',
    ),
  guest: DomainState.optional().describe('the guest on this side; absent where there is none'),
  revision: revision.optional().describe('of `performed`: of the domain; on the target it goes on from there'),
  progress: MigrationProgress.optional(),
  error: z
    .object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) })
    .optional()
    .describe('why this side became `undone` by itself, or its guest was `lost`'),
});
export type MigrationView = z.infer<typeof MigrationView>;

/** What one side shows of its certificates, for the other to judge: public, in PEM. */
const certificates = z.object({ authority: z.string(), certificate: z.string() });

const copies = z.array(
  z.object({
    target: z.string(),
    allocated: z.number().nonnegative(),
    image: z.string().optional().describe('which image it is, as leases name it: it cannot be copied onto itself'),
  }),
);

/** What the guest has of its host's CPU, in QEMU's words. */
const cpu = z.object({ features: z.array(z.string()), vendor: z.string().optional() });

const nvram = z.string().describe('file with the firmware variables that the domain has on its source');

export const migrationCheck = driverContract({
  operation: 'migration-check',
  request: z.object({
    role: MigrationRole,
    peer: MigrationEnd,
    options: MigrationOptions,
    document: z.string().optional().describe('for the target: the document that the source would send'),
    copies: copies
      .optional()
      .describe('for the target: the disks that would be copied, with the bytes that they take on the source'),
    certificates: certificates.optional().describe('for the target: those of the source'),
    cpu: cpu.optional().describe('for the target: what the guest has, and must find again'),
    nvram: nvram.optional().describe('for the target: of a domain that is off, which does not bring them itself'),
  }),
  response: z.object({
    reasons: z.array(MigrationReason),
    document: z.string().optional().describe('of the source: as `begin` would give it'),
    copies: copies.optional(),
    certificates: certificates.optional(),
    cpu: cpu.optional(),
    nvram: nvram.optional(),
  }),
  timeoutMs: 10_000,
  doc: 'Every reason why this side would refuse. Changes nothing.',
});

export const migrationBegin = driverContract({
  operation: 'migration-begin',
  request: z.object({ id, peer: MigrationEnd.describe('the target'), options: MigrationOptions }),
  response: MigrationView,
  timeoutMs: 30_000,
  doc: 'Source: take the migration job, check, and describe the guest: `begun`, with cookie A for the target.',
});

export const migrationPrepare = driverContract({
  operation: 'migration-prepare',
  request: z.object({
    id,
    peer: MigrationEnd.describe('the source'),
    options: MigrationOptions,
    name: z.string().describe('of the domain here'),
    epoch: epoch.describe('promised by the registry to this migration: the guest lives here under it'),
    xml: z.string(),
    definition: z.string().optional().describe('the persistent definition; a transient domain has none'),
    autostart: z.boolean().optional().describe('of a persistent domain: it starts with this host'),
    cookie,
    prepared: Prepared.optional().describe('what storage has prepared here; absent for a domain without images'),
    recover: z
      .boolean()
      .default(false)
      .describe('listen again for the memory of a `finished` guest that is `stranded`'),
  }),
  response: MigrationView,
  timeoutMs: 60_000,
  doc: 'Target: launch a process that waits for the guest: `prepared`, with cookie B and where to send.',
});

export const migrationPerform = driverContract({
  operation: 'migration-perform',
  request: z.object({
    id,
    options: MigrationOptions,
    uri: z.string(),
    cookie,
    recover: z.boolean().default(false).describe('resume the sending of a `performed` post-copy migration'),
  }),
  response: MigrationView,
  timeoutMs: 3_600_000,
  doc:
    'Source: send the guest. Answered when it is `performed` (paused here for good, or post-copy has begun), with cookie C, ' +
    'or `undone`. A caller whose time is up asks again and joins. Offline nothing is sent; the domain cannot be started here ' +
    'from `performed` on.',
});

export const migrationFinish = driverContract({
  operation: 'migration-finish',
  request: z.object({
    id,
    cookie,
    revision: revision.optional().describe('of the domain on the source'),
    downtimeMs: z
      .number()
      .int()
      .positive()
      .optional()
      .describe('for how long the guest may stand still by now: it may have been changed since `prepare`'),
  }),
  response: MigrationView,
  timeoutMs: 60_000,
  doc:
    'Target: let the guest run under its new epoch: `finished`, with cookie D; its definition is kept. The caller has seen ' +
    'the source `performed`. Offline it is defined.',
});

export const migrationForsake = driverContract({
  operation: 'migration-forsake',
  request: z.object({ id }),
  response: MigrationView,
  timeoutMs: 60_000,
  doc:
    'Target: the source has said that what a guest that is `stranded`, or `silent`, waits for is `lost`. The guest cannot ' +
    'live without it: it is ended here, shut off as crashed.',
});

export const migrationConfirm = driverContract({
  operation: 'migration-confirm',
  request: z.object({ id, cookie }),
  response: MigrationView,
  timeoutMs: 60_000,
  doc:
    'Source: the guest lives on the target, `finished` and its memory `whole`. End what is left of it here, its definition ' +
    'too: `confirmed`, with a tombstone under the old epoch.',
});

export const migrationUndo = driverContract({
  operation: 'migration-undo',
  request: z.object({
    id,
    role: MigrationRole,
    targetUndone: z
      .boolean()
      .default(false)
      .describe('for the source: the target has said that it is `undone`, or its host is known to be off'),
    epoch: epoch
      .optional()
      .describe(
        'for the source: the epoch to go on under; higher than what was promised to a target that cannot be asked',
      ),
  }),
  response: MigrationView,
  timeoutMs: 60_000,
  doc:
    'Take back what was begun: `undone`. The source cancels its transfer and lets the guest run as before; when it is ' +
    '`performed` only with `targetUndone`. The target kills what waits there; once `finishing` it does nothing. A side that ' +
    'had heard nothing remembers the id.',
});

export const migrationStatus = driverContract({
  operation: 'migration-status',
  request: z.object({ id, role: MigrationRole }),
  response: MigrationView,
  timeoutMs: 5_000,
  doc: 'Did it happen? The side as it is; changes nothing and never waits.',
});

export const migrationLimits = driverContract({
  operation: 'migration-limits',
  request: z.object({
    id,
    bandwidth: z.number().int().positive().optional(),
    postcopyBandwidth: z.number().int().positive().optional(),
    downtimeMs: z.number().int().positive().optional(),
  }),
  response: MigrationView,
  timeoutMs: 10_000,
  doc: 'Source: change the limits of a transfer that runs, or has yet to begin. `OPERATION_INVALID` when there is none.',
});

export const migrationPostcopy = driverContract({
  operation: 'migration-postcopy',
  request: z.object({ id }),
  response: MigrationView,
  timeoutMs: 10_000,
  doc: 'Source: switch to post-copy. `OPERATION_INVALID` when no transfer runs that allows it.',
});

export const migrationSuspend = driverContract({
  operation: 'migration-suspend',
  request: z.object({ id }),
  response: MigrationView,
  timeoutMs: 10_000,
  doc: 'Source: pause the guest, so that what is left to send ends; it runs again on the target.',
});

/** A migration that has begun on a host and not ended there: what it takes to go on with it when no journal knows of it. */
export const OpenMigration = z.object({
  id,
  role: MigrationRole,
  domain: Uuid,
  name: z.string().describe('of the domain on the source'),
  epoch: epoch.optional().describe('of the domain; told by the source alone'),
  peer: MigrationEnd,
  options: MigrationOptions,
});
export type OpenMigration = z.infer<typeof OpenMigration>;

export const migrationOpen = driverContract({
  operation: 'migration-open',
  request: z.object({}),
  response: z.object({ migrations: z.array(OpenMigration) }),
  timeoutMs: 5_000,
  doc: 'Migrations that have not ended on this side, however long ago they began.',
});

/** What the domain service is asked: the registry has one entry for a domain, and this moves it. Each may be asked again. */
export const handoverClaim = driverContract({
  operation: 'handover-claim',
  request: z.object({
    id,
    domain: Uuid,
    from: MigrationEnd.extend({ epoch }),
    to: MigrationEnd,
    name: z.string().describe('of the domain on the target: claimed, too'),
  }),
  response: z.object({ epoch: epoch.describe('higher than any that the domain ever had; for this migration alone') }),
  timeoutMs: 10_000,
  doc:
    'Promise an epoch on the target to this migration. `RESOURCE_BUSY` while another has one, `EPOCH_STALE` when the domain ' +
    'is not where the caller believes, `OPERATION_ABORTED` when this one was released: a claim may come late.',
});

export const handoverImages = driverContract({
  operation: 'handover-images',
  request: z.object({
    id,
    domain: Uuid,
    to: MigrationEnd,
    name: z.string(),
    epoch: epoch.describe('that was promised'),
    xml: z.string().describe('the document that the target starts'),
    copies: MigrationView.shape.copies,
  }),
  response: z.object({ prepared: Prepared.optional().describe('absent for a guest without images') }),
  timeoutMs: 60_000,
  doc:
    'What the disks of the guest stand on at the target, leased to it there and in the fleet: an image that both hosts reach ' +
    'is at no time free for another domain. `OPERATION_ABORTED` when the migration was released.',
});

export const handoverCommit = driverContract({
  operation: 'handover-commit',
  request: z.object({ id, domain: Uuid, to: MigrationEnd, epoch, name: z.string() }),
  response: z.object({}),
  timeoutMs: 10_000,
  doc: 'The domain lives on the target under the promised epoch: home, epoch and name change in one write.',
});

export const handoverRelease = driverContract({
  operation: 'handover-release',
  request: z.object({
    id,
    domain: Uuid,
    fence: z.boolean().describe('the target could not be asked: the domain gets an epoch above the promised one'),
  }),
  response: z.object({ epoch: epoch.describe('under which it lives on at its source') }),
  timeoutMs: 10_000,
  doc: 'The domain stays, and so do its leases. The promised epoch is never given again.',
});
