/** The streams and buckets of virtbus: few, made when they are missing, never one a host or domain. */
import { nanos, RetentionPolicy, StorageType, DiscardPolicy, type StreamConfig } from 'nats';
import { buckets, root, streams } from '../contracts/subjects';
import type { Bus } from './connection';

export interface JetStreamOptions {
  /** Copies of each stream in a cluster. */
  replicas?: number | undefined;
  /** Events older than this are dropped, milliseconds. */
  eventsMaxAgeMs?: number | undefined;
  /** Events beyond this size are dropped, oldest first, bytes. */
  eventsMaxBytes?: number | undefined;
}

const day = 86_400_000;

/** How long events are kept, milliseconds, where their operator says nothing else. */
export const eventsKeptMs = 30 * day;

/** Make what is missing; what is there stays as its operator has set it. Tells whether the events stream was made. */
export async function ensureJetStream(bus: Bus, options: JetStreamOptions = {}): Promise<{ created: boolean }> {
  const jsm = await bus.jsm();
  const common = { num_replicas: options.replicas ?? 1, storage: StorageType.File } as const;
  const wanted: Partial<StreamConfig>[] = [
    {
      ...common,
      name: streams.events,
      description: 'what happened: replay it from any sequence',
      subjects: [`${root}.event.>`],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_age: nanos(options.eventsMaxAgeMs ?? eventsKeptMs),
      max_bytes: options.eventsMaxBytes ?? 1_073_741_824,
      duplicate_window: nanos(3_600_000),
      allow_direct: true,
      deny_delete: true,
    },
    {
      ...common,
      name: streams.queue,
      description: 'commands to be applied when their host is there',
      subjects: [`${root}.queue.>`],
      retention: RetentionPolicy.Workqueue,
      max_age: nanos(day),
      max_bytes: 268_435_456,
      duplicate_window: nanos(3_600_000),
    },
  ];
  let created = false;
  for (const config of wanted) {
    try {
      await jsm.streams.info(config.name!);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await jsm.streams.add(config);
      created ||= config.name === streams.events;
    }
  }
  for (const bucket of Object.values(buckets)) {
    await bus.js.views.kv(bucket, {
      history: 1,
      replicas: options.replicas ?? 1,
      storage: StorageType.File,
      // Any server of a cluster answers a direct read, also one that has not heard of the last write yet.
      allow_direct: false,
    });
  }
  return { created };
}

/** Which JetStream it is: each stream and bucket, when it was made and how far it has come. */
export type JetStreamMark = ReadonlyMap<string, { created: string; last: number }>;

/** Throws what `isMissing` knows when a stream or bucket is not there. */
export async function jetStreamMark(bus: Bus): Promise<JetStreamMark> {
  const jsm = await bus.jsm();
  const names = [...Object.values(streams), ...Object.values(buckets).map((bucket) => `KV_${bucket}`)];
  const infos = await Promise.all(names.map((name) => jsm.streams.info(name)));
  return new Map(infos.map(({ config, created, state }) => [config.name, { created, last: state.last_seq }]));
}

/** A stream was made anew, or has what it had some time ago: whoever looked at it before cannot go on from there. */
export function isAnother(now: JetStreamMark, before: JetStreamMark): boolean {
  return [...before].some(([name, { created, last }]) => {
    const stream = now.get(name);
    return stream?.created !== created || stream.last < last;
  });
}

/** Does the server say that a stream, a bucket or a message is not there? */
export function isMissing(error: unknown): boolean {
  const { code, api_error } = error as { code?: string; api_error?: { code?: number } };
  return code === '404' || api_error?.code === 404;
}
