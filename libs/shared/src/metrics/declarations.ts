/**
 * Every metric that a service tells Prometheus: declared once, with its words; docs/reference/metrics.md comes from here.
 *
 * Names follow Prometheus' conventions (base units, `_total` for counters). Labels are words of ours: operations, states,
 * codes, kinds. Never a uuid, a name of a domain or a path, which would grow without end.
 */
export type MetricKind = 'counter' | 'gauge' | 'histogram';

export interface Metric<L extends string = string> {
  readonly name: string;
  readonly kind: MetricKind;
  readonly help: string;
  readonly labels: readonly L[];
  /** Which services tell it. */
  readonly by: string;
}

const declare =
  (kind: MetricKind) =>
  <const L extends string = never>(name: string, by: string, help: string, labels: readonly L[] = []): Metric<L> => ({
    name: `virtbus_${name}`,
    kind,
    help,
    labels,
    by,
  });
const counter = declare('counter');
const gauge = declare('gauge');
const histogram = declare('histogram');

/** Said once for each: `service` names the service, and `host` its host where it serves one, on every sample. */
export const metrics = {
  info: gauge('build_info', 'all', 'always 1; its labels tell the version', ['version']),
  connected: gauge('nats_connected', 'all', '1 while a NATS server is there'),
  reconnects: counter('nats_reconnects_total', 'all', 'returns to a NATS server after a loss'),
  calls: counter('calls_total', 'all', 'calls answered, by operation and code of the error table; `OK` for none', [
    'operation',
    'code',
  ]),
  callSeconds: histogram('call_duration_seconds', 'all', 'from receipt of a call to its answer', ['operation']),
  callsUnderWay: gauge('calls_in_progress', 'all', 'calls that are being answered'),
  queued: counter(
    'queued_commands_total',
    'domain',
    'queued commands that ended, by operation and code; `LATER` each time one is put off',
    ['operation', 'code'],
  ),
  queueDepth: gauge('queue_depth', 'domain', 'commands in the work queue, of all copies together'),
  eventsPublished: counter('events_published_total', 'driver-*, storage', 'events that the stream has taken', [
    'class',
  ]),
  publishFailures: counter(
    'event_publish_failures_total',
    'driver-*, storage',
    'attempts to publish that failed; the journal keeps what they were about',
  ),
  journal: gauge('journal_events', 'driver-*, storage', 'events on disk that the stream has not taken yet'),
  eventsReceived: counter('events_received_total', 'domain', 'events of domains taken in from the stream', ['class']),
  domains: gauge('domains', 'domain', 'domains of the fleet by state, as this copy knows them', ['state']),
  hosts: gauge('hosts', 'domain', 'drivers of the fleet by what is heard of them', ['driver', 'state']),
  guests: gauge('guests', 'driver-*', 'domains of this host by state', ['state']),
  adopted: counter('adopted_guests_total', 'driver-*', 'guests of before a restart: found again, or gone meanwhile', [
    'outcome',
  ]),
  domainEvents: counter('domain_events_total', 'driver-*', 'what happened to domains of this host', ['class', 'type']),
  domainJobs: gauge('domain_jobs', 'driver-*', 'long jobs on domains that run now'),
  blockJobs: counter('block_jobs_ended_total', 'driver-*', 'block jobs that ended, by outcome', ['outcome']),
  cpus: gauge('host_cpus', 'driver-*', 'processors of this host'),
  load: gauge('host_load1', 'driver-*', 'load average over a minute'),
  memory: gauge('host_memory_bytes', 'driver-*', 'memory of this host'),
  freeMemory: gauge('host_memory_available_bytes', 'driver-*', 'memory that a new guest can have'),
  leases: gauge('image_leases', 'storage', 'images that domains of this host hold', ['mode']),
  migrations: gauge('migrations', 'migration', 'migrations that have not ended, by step', ['step']),
  migrationsEnded: counter('migrations_ended_total', 'migration', 'migrations that this copy drove to their end', [
    'outcome',
  ]),
} as const;

/** Upper bounds of a call's duration, seconds: from an answer out of memory to a slow start. */
export const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
