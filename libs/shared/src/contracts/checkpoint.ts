/**
 * Checkpoints of a domain: points in time since when bitmaps in its images record what is written, for backups that copy only
 * that. Their descriptions are libvirt's checkpoint XML and lie beside the domain's definition on its home host.
 */
import { z } from 'zod';
import { contract } from './contract';
import { changed } from './domain-commands';

const CheckpointName = z.string().min(1).max(200).describe('name of the checkpoint; unique within its domain');
const one = z.object({ name: CheckpointName });
const flag = (doc: string) => z.boolean().default(false).describe(doc);

export const CheckpointSummary = z
  .object({
    name: CheckpointName,
    description: z.string().optional(),
    created: z.number().int().describe('seconds since 1970'),
    disks: z.array(z.string()).describe('targets of the disks that have a bitmap for it'),
    current: z.boolean().describe('the newest one: the next one follows on it'),
    parent: CheckpointName.optional(),
    children: z.array(CheckpointName),
  })
  .describe('a checkpoint of a domain');
export type CheckpointSummary = z.infer<typeof CheckpointSummary>;

export const createCheckpoint = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'checkpoint-create',
  request: z.object({
    xml: z
      .string()
      .default('<domaincheckpoint/>')
      .describe("libvirt's <domaincheckpoint>; what it leaves out is filled in"),
    quiesce: flag('the guest agent freezes the file systems meanwhile'),
    redefine: flag('make no bitmaps: keep this description again, complete as checkpoint-dumpxml gave it'),
    validate: flag('with redefine: refuse it when its bitmaps are not there and whole'),
  }),
  response: changed.extend({ checkpoint: CheckpointSummary }),
  errors: [
    'OPERATION_INVALID',
    'OPERATION_FAILED',
    'OPERATION_UNSUPPORTED',
    'CONFIG_UNSUPPORTED',
    'CHECKPOINT_INCONSISTENT',
    'XML_ERROR',
    'XML_DETAIL',
    'XML_INVALID_SCHEMA',
    'AGENT_UNRESPONSIVE',
    'AGENT_COMMAND_TIMEOUT',
    'AGENT_COMMAND_FAILED',
  ],
  doc: 'From now on, record what the guest writes. Of several disks at once: all or none.',
  example: { xml: '<domaincheckpoint><name>monday</name></domaincheckpoint>' },
});

export const listCheckpoints = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'checkpoint-list',
  request: z.object({
    from: CheckpointName.optional().describe('only those below this one'),
    descendants: flag('with from: all below, not only its children'),
    roots: flag('only those without a parent'),
    leaves: z.boolean().optional().describe('true: only those without children; false: only those with'),
  }),
  response: z.object({ checkpoints: z.array(CheckpointSummary).describe('parents before their children') }),
  errors: ['NO_DOMAIN_CHECKPOINT'],
  doc: 'The checkpoints of a domain.',
  example: {},
});

export const getCheckpoint = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'checkpoint-info',
  request: one,
  response: z.object({ checkpoint: CheckpointSummary }),
  errors: ['NO_DOMAIN_CHECKPOINT'],
  doc: 'One checkpoint: its parent, its children, its disks.',
  example: { name: 'monday' },
});

export const getCheckpointXml = contract({
  kind: 'query',
  entity: 'domain',
  operation: 'checkpoint-dumpxml',
  request: one.extend({
    withoutDomain: flag('without the domain as it ran then'),
    sizes: flag('with the bytes that were written since, by disk; the guest has to run'),
  }),
  response: z.object({ xml: z.string() }),
  errors: ['NO_DOMAIN_CHECKPOINT', 'OPERATION_INVALID', 'OPERATION_FAILED', 'CHECKPOINT_INCONSISTENT'],
  doc: "The checkpoint's document, without secrets.",
  example: { name: 'monday' },
});

export const deleteCheckpoint = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'checkpoint-delete',
  request: one.extend({
    children: flag('with all that descend from it'),
    childrenOnly: flag('only those that descend from it'),
    metadata: flag('only the description; bitmaps stay as they are'),
  }),
  response: changed,
  errors: ['NO_DOMAIN_CHECKPOINT', 'OPERATION_INVALID', 'OPERATION_FAILED', 'OPERATION_UNSUPPORTED'],
  doc: 'Delete a checkpoint and its bitmaps. Backups can begin from the others as before.',
  example: { name: 'monday' },
});
