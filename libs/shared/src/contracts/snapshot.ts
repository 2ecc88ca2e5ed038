/**
 * Snapshots of a domain: states to go back to. Their descriptions are libvirt's snapshot XML and lie beside the domain's
 * definition on its home host; the data lies in the domain's images (internal) or below its overlays (external).
 */
import { z } from 'zod';
import { contract } from './contract';
import { changed, imageErrors } from './domain-commands';

const SnapshotName = z.string().min(1).max(255).describe('name of the snapshot; unique within its domain');

const one = z.object({ name: SnapshotName });

/** The state that a domain goes back to: libvirt's words, with `disk-snapshot` where there are disks only. */
export const SnapshotState = z.enum([
  'nostate',
  'running',
  'blocked',
  'paused',
  'shutdown',
  'shutoff',
  'crashed',
  'pmsuspended',
  'disk-snapshot',
]);
export type SnapshotState = z.infer<typeof SnapshotState>;

export const SnapshotSummary = z
  .object({
    name: SnapshotName,
    description: z.string().optional(),
    state: SnapshotState.describe('of the domain when it was taken'),
    created: z.number().int().describe('seconds since 1970'),
    location: z.enum(['internal', 'external']).describe('within the images, or as images below overlays'),
    memory: z.enum(['no', 'internal', 'external']).describe('whether the memory was kept, and where'),
    current: z.boolean().describe('the domain as it is now descends from this one'),
    parent: SnapshotName.optional(),
    children: z.array(SnapshotName).describe('names of the snapshots that were taken right after it'),
  })
  .describe('a snapshot of a domain');
export type SnapshotSummary = z.infer<typeof SnapshotSummary>;

const flag = (doc: string) => z.boolean().default(false).describe(doc);

const made = changed.extend({ snapshot: SnapshotSummary });

export const createSnapshot = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'snapshot-create',
  plansImages: true,
  timeoutMs: 600_000,
  request: z.object({
    xml: z
      .string()
      .default('<domainsnapshot/>')
      .describe("libvirt's <domainsnapshot>; what it leaves out is filled in"),
    diskOnly: flag('external, of the disks alone'),
    quiesce: flag('the guest agent freezes the file systems meanwhile; with diskOnly'),
    atomic: flag('all disks or none: always so'),
    reuseExternal: flag('the overlay files are there already, with the right size, format and backing'),
    noMetadata: flag('keep no description: with diskOnly this leaves overlays and nothing else'),
    redefine: flag('take nothing: keep this description again, complete as snapshot-dumpxml gave it'),
    current: flag('with redefine: it becomes the current one'),
    halt: flag('the domain is shut off when it is taken'),
    live: flag('external with memory: the guest runs while its memory is written'),
    validate: flag('refuse elements and attributes that are not known'),
  }),
  response: made,
  errors: [
    ...imageErrors,
    'OPERATION_INVALID',
    'OPERATION_FAILED',
    'OPERATION_UNSUPPORTED',
    'OPERATION_ABORTED',
    'CONFIG_UNSUPPORTED',
    'XML_ERROR',
    'XML_DETAIL',
    'XML_INVALID_SCHEMA',
    'AGENT_UNRESPONSIVE',
    'AGENT_COMMAND_TIMEOUT',
    'AGENT_COMMAND_FAILED',
    'ARGUMENT_UNSUPPORTED',
    'SYSTEM_ERROR',
    'RESOURCE_BUSY',
  ],
  doc: 'Take a snapshot. Of several disks at once: all or none. Answered when it is there.',
  example: { xml: '<domainsnapshot><name>before-upgrade</name></domainsnapshot>', diskOnly: true },
});

const chosen = (doc: string) => z.boolean().optional().describe(doc);

export const listSnapshots = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'snapshot-list',
  request: z.object({
    from: SnapshotName.optional().describe('only those below this one'),
    descendants: flag('with from: all below, not only its children'),
    roots: flag('only those without a parent'),
    leaves: chosen('true: only those without children; false: only those with'),
    location: z.enum(['internal', 'external']).optional(),
    taken: z
      .enum(['active', 'inactive', 'disk-only'])
      .optional()
      .describe('of a guest that ran, of one that was shut off, of disks alone'),
  }),
  response: z.object({ snapshots: z.array(SnapshotSummary).describe('parents before their children') }),
  errors: ['NO_DOMAIN_SNAPSHOT'],
  doc: 'The snapshots of a domain.',
  example: { roots: true },
});

export const getSnapshot = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'snapshot-info',
  request: z.object({ name: SnapshotName.optional().describe('the current one when left out') }),
  response: z.object({ snapshot: SnapshotSummary }),
  errors: ['NO_DOMAIN_SNAPSHOT'],
  doc: 'One snapshot: its state, its parent, its children.',
  example: { name: 'before-upgrade' },
});

export const getSnapshotXml = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'snapshot-dumpxml',
  request: one,
  response: z.object({ xml: z.string() }),
  errors: ['NO_DOMAIN_SNAPSHOT'],
  doc: "The snapshot's document, without secrets.",
  example: { name: 'before-upgrade' },
});

export const getSnapshotXmlWithSecrets = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'snapshot-dumpxml-with-secrets',
  timeoutMs: 5_000,
  queue: false,
  request: one,
  response: z.object({ xml: z.string() }),
  errors: ['NO_DOMAIN_SNAPSHOT'],
  doc: "The snapshot's document with its secrets, fit to be defined again. A command, so that a reader cannot ask for it.",
  example: { name: 'before-upgrade' },
});

export const revertSnapshot = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'snapshot-revert',
  plansImages: true,
  timeoutMs: 600_000,
  request: one.extend({
    running: flag('the guest runs afterwards, whatever it did when the snapshot was taken'),
    paused: flag('the guest is paused afterwards'),
    force: flag('also where a guest that runs has to be ended and started again'),
    resetNvram: flag("the firmware's variables begin anew"),
  }),
  response: changed,
  errors: [
    ...imageErrors,
    'NO_DOMAIN_SNAPSHOT',
    'SNAPSHOT_REVERT_RISKY',
    'OPERATION_INVALID',
    'OPERATION_FAILED',
    'OPERATION_UNSUPPORTED',
    'CONFIG_UNSUPPORTED',
    'SYSTEM_ERROR',
    'RESOURCE_BUSY',
  ],
  doc: 'Go back to a snapshot. What the disks held since the current snapshot, and no other snapshot keeps, is lost.',
  example: { name: 'before-upgrade', running: true },
});

export const deleteSnapshot = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'snapshot-delete',
  plansImages: true,
  timeoutMs: 600_000,
  request: one.extend({
    children: flag('with all that descend from it'),
    childrenOnly: flag('only those that descend from it'),
    metadata: flag('only the description; images stay as they are'),
  }),
  response: changed,
  errors: [
    ...imageErrors,
    'NO_DOMAIN_SNAPSHOT',
    'OPERATION_INVALID',
    'OPERATION_FAILED',
    'OPERATION_UNSUPPORTED',
    'OPERATION_ABORTED',
    'SYSTEM_ERROR',
    'RESOURCE_BUSY',
  ],
  doc: 'Delete a snapshot; the domain stays as it is now. Of an external one its overlay is merged into the image below.',
  example: { name: 'before-upgrade' },
});
