/** What an event carries, and the classes of events with their types (libvirt's event ids behind them). */
import { z } from 'zod';
import { DomainSummary, TaintType } from './domain';
import { HostName } from './ids';

/**
 * Classes of domain events: the token after the uuid in the subject. Each names its types, the token after that.
 * `number` is libvirt's event id.
 */
export const domainEventClasses = {
  lifecycle: {
    number: 0,
    types: ['defined', 'undefined', 'started', 'suspended', 'resumed', 'stopped', 'shutdown', 'pmsuspended', 'crashed'],
  },
  reboot: { number: 1, types: ['reboot'] },
  rtc: { number: 2, types: ['change'] },
  watchdog: { number: 3, types: ['fired'] },
  'io-error': { number: 6, types: ['pause', 'report', 'ignore'] },
  graphics: { number: 5, types: ['connect', 'initialize', 'disconnect'] },
  control: { number: 7, types: ['error'] },
  'block-job': { number: 16, types: ['completed', 'failed', 'canceled', 'ready'] },
  'block-threshold': { number: 24, types: ['exceeded'] },
  'disk-change': { number: 9, types: ['missing-on-start', 'drop-missing-on-start'] },
  tray: { number: 10, types: ['open', 'close'] },
  balloon: { number: 13, types: ['change'] },
  oom: { number: null, types: ['killed'] },
  device: { number: 19, types: ['added', 'add-failed', 'removed', 'removal-failed', 'updated', 'update-failed'] },
  agent: { number: 18, types: ['connected', 'disconnected'] },
  tunable: { number: 17, types: ['cpu', 'memory', 'block-io', 'disk'] },
  'migration-iteration': { number: 20, types: ['pass'] },
  metadata: { number: 23, types: ['title', 'description', 'element'] },
  config: { number: null, types: ['autostart', 'memory', 'vcpus', 'device', 'managed-save', 'disk-size'] },
  snapshot: { number: null, types: ['created', 'deleted', 'reverted'] },
  checkpoint: { number: null, types: ['created', 'deleted'] },
  job: { number: 21, types: ['completed', 'failed', 'cancelled'] },
  taint: { number: null, types: TaintType.options },
  warning: { number: null, types: ['ignored'] },
} as const satisfies Record<string, { number: number | null; types: readonly string[] }>;

export type EventClass = keyof typeof domainEventClasses;
export type EventType<C extends EventClass = EventClass> = {
  [K in C]: (typeof domainEventClasses)[K]['types'][number];
}[C];

/** What is known of the command behind an event. */
export const EventCause = z.object({
  operation: z.string(),
  caller: z
    .string()
    .optional()
    .describe('whose inbox the answer went to: `operator`, `admin`; `queue` for a queued one'),
  steps: z.array(z.string()).optional().describe('what had been asked of the hypervisor by then, the latest last'),
});
export type EventCause = z.infer<typeof EventCause>;

/** One thing that happened to one domain. Stored in the stream as JSON, so that stock tools can read the log. */
export const DomainEvent = z
  .object({
    id: z.string().describe('unique; also the Nats-Msg-Id it is deduplicated by'),
    class: z.string(),
    type: z.string(),
    detail: z.string().optional().describe("libvirt's detail of a lifecycle event"),
    time: z.iso.datetime().describe('when it happened on the host, UTC'),
    host: HostName,
    commandId: z.string().optional().describe('id of the command that caused it'),
    traceparent: z.string().optional(),
    cause: EventCause.optional().describe('the command of that id, as the driver did it'),
    trigger: z.string().optional().describe('what the hypervisor told that led to it: `QMP SHUTDOWN guest-shutdown`'),
    domain: DomainSummary.describe('the domain right after the event; its revision orders the events of a domain'),
    data: z.record(z.string(), z.unknown()).optional().describe('what else belongs to this class of event'),
  })
  .describe('an event of a domain');
export type DomainEvent = z.infer<typeof DomainEvent>;

/** What the storage service of a host tells about, with the types of its events: the token before the host. */
export const storageEventTypes = {
  pool: [
    ...['defined', 'undefined', 'started', 'stopped', 'refreshed', 'built', 'deleted', 'autostart'],
    ...['volume-created', 'volume-deleted', 'volume-changed'],
  ],
  chain: ['repaired', 'changed', 'mismatch'],
} as const satisfies Record<string, readonly string[]>;

/** One thing that happened to a pool or to a chain of images on a host. Stored in the stream as JSON. */
export const StorageEvent = z
  .object({
    id: z.string().describe('unique; also the Nats-Msg-Id it is deduplicated by'),
    entity: z.enum(['pool', 'chain']),
    name: z.string().describe("the pool's name, or the path of the image that the chain begins with"),
    type: z.string(),
    time: z.iso.datetime().describe('when it happened on the host, UTC'),
    host: HostName,
    commandId: z.string().optional().describe('id of the command that caused it'),
    traceparent: z.string().optional(),
    epoch: z.number().int().describe('when the storage service first ran on this host, milliseconds since 1970'),
    revision: z.number().int().describe('rises by one with every event of the storage service of this host'),
    data: z.record(z.string(), z.unknown()).optional().describe('what else belongs to this type of event'),
  })
  .describe('an event of storage');
export type StorageEvent = z.infer<typeof StorageEvent>;

/** How a queued command ended. */
export const CommandOutcome = z
  .object({
    commandId: z.string(),
    operation: z.string(),
    domain: z.string().optional(),
    time: z.iso.datetime(),
    response: z.unknown().optional(),
    error: z.object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) }).optional(),
  })
  .describe('outcome of a queued command');
export type CommandOutcome = z.infer<typeof CommandOutcome>;
