/** Commands on a domain's life: define, start, stop, and what stands between. */
import { z } from 'zod';
import { DomainSummary, HostName, Labels, PowerMode } from '../model';
import { contract } from './contract';

/** The domain right after the command. */
export const changed = z.object({ domain: DomainSummary });

const placement = {
  host: HostName.optional().describe('the home host; chosen by driver, architecture, memory and labels when left out'),
  labels: Labels.default({}).describe('labels that the host must have'),
};
const definition = {
  xml: z.string().optional().describe("libvirt's domain XML"),
  document: z.record(z.string(), z.unknown()).optional().describe('or the same as JSON'),
  validate: z
    .boolean()
    .default(false)
    .describe('refuse elements and attributes that are not known, by line; otherwise they are warned of'),
};
const definitionErrors = [
  'XML_ERROR',
  'XML_DETAIL',
  'XML_INVALID_SCHEMA',
  'CONFIG_UNSUPPORTED',
  'OS_TYPE',
  'DOMAIN_EXISTS',
  'HOST_NOT_FOUND',
  'HOST_OFFLINE',
  'NO_SUITABLE_HOST',
  'OPERATION_FAILED',
  'SYSTEM_ERROR',
] as const;

/** What keeps a guest from opening its images. */
export const imageErrors = [
  'BACKING_FORMAT_MISSING',
  'IMAGE_INVALID',
  'IMAGE_IN_USE',
  'POOL_NOT_FOUND',
  'VOLUME_NOT_FOUND',
] as const;

export const defineDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'define',
  on: 'all',
  servedBy: 'domain-service',
  request: z.object({ ...definition, ...placement }),
  response: changed.extend({ warnings: z.array(z.string()) }),
  errors: definitionErrors,
  doc: 'Keep a definition. Answered once the home host has it on disk. On a domain that runs it changes the next boot.',
  example: { xml: '<domain type="qemu"><name>web1</name>…</domain>' },
});

export const createDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'create',
  on: 'all',
  servedBy: 'domain-service',
  timeoutMs: 60_000,
  request: z.object({ ...definition, ...placement, paused: z.boolean().default(false) }),
  response: changed.extend({ warnings: z.array(z.string()) }),
  errors: [...definitionErrors, ...imageErrors, 'OPERATION_INVALID', 'DOMAIN_BUSY', 'UNSUPPORTED_BY_DRIVER'],
  doc: 'Start a transient domain: it has no persistent definition and is forgotten when it stops.',
  example: { xml: '<domain type="qemu"><name>job7</name>…</domain>', paused: false },
});

export const undefineDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'undefine',
  request: z.object({
    managedSave: z.boolean().default(false).describe('remove a managed save image too'),
    snapshotsMetadata: z.boolean().default(false).describe('drop the descriptions of its snapshots too'),
    checkpointsMetadata: z.boolean().default(false).describe('drop the descriptions of its checkpoints too'),
    nvram: z.enum(['refuse', 'keep', 'delete']).default('refuse').describe('what to do with an existing nvram file'),
  }),
  response: z.object({ domain: DomainSummary }),
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED'],
  doc: 'Drop the definition. A domain that runs goes on as a transient one.',
  example: {},
});

export const startDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'start',
  timeoutMs: 60_000,
  request: z.object({
    paused: z.boolean().default(false),
    forceBoot: z.boolean().default(false).describe('boot afresh and drop a managed save image'),
  }),
  response: changed,
  errors: [
    ...imageErrors,
    'OPERATION_INVALID',
    'OPERATION_FAILED',
    'CONFIG_UNSUPPORTED',
    'SYSTEM_ERROR',
    'RESOURCE_BUSY',
  ],
  doc: 'Boot a defined, inactive domain, or restore its managed save image. A repeated command id gets its first answer again.',
  example: { paused: false },
});

export const shutdownDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'shutdown',
  request: z.object({
    mode: z
      .array(PowerMode)
      .default([])
      .describe('tried in this order; agent if connected, else ACPI (of a container initctl, else signal), when empty'),
  }),
  response: changed,
  errors: ['OPERATION_INVALID', 'AGENT_UNRESPONSIVE', 'AGENT_COMMAND_TIMEOUT', 'ARGUMENT_UNSUPPORTED'],
  doc: 'Ask the guest to shut down. Answered when it has been asked; the `stopped` event tells that it did.',
  example: { mode: ['acpi'] },
});

export const rebootDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'reboot',
  request: z.object({ mode: z.array(PowerMode).default([]) }),
  response: changed,
  errors: ['OPERATION_INVALID', 'AGENT_UNRESPONSIVE', 'AGENT_COMMAND_TIMEOUT', 'ARGUMENT_UNSUPPORTED'],
  doc: 'Ask the guest to reboot.',
  example: {},
});

export const destroyDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'destroy',
  timeoutMs: 45_000,
  request: z.object({
    graceful: z.boolean().default(false).describe('never kill with force; fail when it does not end in 15 s'),
  }),
  response: changed,
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED'],
  doc: 'Cut the power. Interrupts anything else that is done to the domain, and works on a guest that hangs.',
  example: {},
});

const simple = <const O extends string>(operation: O, doc: string) =>
  contract({
    kind: 'cmd',
    entity: 'domain',
    operation,
    request: z.object({}),
    response: changed,
    errors: ['OPERATION_INVALID', 'OPERATION_FAILED'],
    doc,
    example: {},
  });

export const suspendDomain = simple('suspend', 'Pause the guest; it keeps its memory and does not run.');
export const resumeDomain = simple('resume', 'Let a paused guest run again.');
export const resetDomain = simple('reset', 'Press the reset button.');

export const setAutostart = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'autostart',
  request: z.object({ enabled: z.boolean() }),
  response: changed,
  errors: ['OPERATION_INVALID'],
  doc: 'Start the domain when its host comes up, or not.',
  example: { enabled: true },
});

export const renameDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'rename',
  servedBy: 'domain-service',
  request: z.object({ name: z.string() }),
  response: changed,
  errors: ['DOMAIN_NOT_FOUND', 'DOMAIN_EXISTS', 'OPERATION_INVALID', 'HOST_OFFLINE', 'DOMAIN_BUSY', 'XML_ERROR'],
  doc: 'Give an inactive domain another name; its uuid stays.',
  example: { name: 'web2' },
});

export const saveDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'save',
  timeoutMs: 600_000,
  request: z.object({
    path: z.string().startsWith('/').describe('a file on the home host'),
    xml: z.string().optional().describe('the document to restore with; must be the same hardware'),
    paused: z.boolean().optional().describe('state after restore; as it is now when left out'),
  }),
  response: changed,
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED', 'OPERATION_ABORTED', 'SYSTEM_ERROR', 'XML_ERROR'],
  doc: "Write the guest's memory to a file and stop it.",
  example: { path: '/var/lib/virtbus/save/web1.save' },
});

export const restoreDomain = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'restore',
  on: 'all',
  servedBy: 'domain-service',
  timeoutMs: 600_000,
  request: z.object({
    host: HostName.describe('the host that has the file'),
    path: z.string().startsWith('/'),
    xml: z.string().optional(),
    paused: z.boolean().optional(),
  }),
  response: changed,
  errors: [
    'HOST_NOT_FOUND',
    'HOST_OFFLINE',
    'OPERATION_INVALID',
    'OPERATION_FAILED',
    'DOMAIN_EXISTS',
    'SYSTEM_ERROR',
    'XML_ERROR',
    'CONFIG_UNSUPPORTED',
    'DOMAIN_BUSY',
    'UNSUPPORTED_BY_DRIVER',
    ...imageErrors,
  ],
  doc: 'Bring a saved guest back as it was.',
  example: { host: 'h1', path: '/var/lib/virtbus/save/web1.save' },
});

export const managedSave = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'managed-save',
  timeoutMs: 600_000,
  request: z.object({ paused: z.boolean().optional() }),
  response: changed,
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED', 'OPERATION_ABORTED', 'SYSTEM_ERROR'],
  doc: 'Save the guest to a file of ours; the next start brings it back.',
  example: {},
});

export const removeManagedSave = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'managed-save-remove',
  request: z.object({}),
  response: changed.extend({ removed: z.boolean().optional().describe('false: there was none') }),
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED'],
  doc: 'Drop the managed save image; the next start boots afresh.',
  example: {},
});

export const abortJob = contract({
  kind: 'cmd',
  entity: 'domain',
  operation: 'job-abort',
  queue: false,
  request: z.object({}),
  response: z.object({}),
  errors: ['OPERATION_INVALID', 'OPERATION_FAILED'],
  doc: 'Abort the job that runs on the domain.',
  example: {},
});
