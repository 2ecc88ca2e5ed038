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
      max_age: nanos(options.eventsMaxAgeMs ?? 30 * day),
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

/**
 * When each stream and bucket was made, as one text: another text means that JetStream was wiped, wholly or in part.
 * Throws what `isMissing` knows when one of them is not there.
 */
export async function jetStreamBirth(bus: Bus): Promise<string> {
  const jsm = await bus.jsm();
  const names = [...Object.values(streams), ...Object.values(buckets).map((bucket) => `KV_${bucket}`)];
  const infos = await Promise.all(names.map((name) => jsm.streams.info(name)));
  return infos.map(({ created }) => created).join(' ');
}

/** Does the server say that a stream, a bucket or a message is not there? */
export function isMissing(error: unknown): boolean {
  const { code, api_error } = error as { code?: string; api_error?: { code?: number } };
  return code === '404' || api_error?.code === 404;
}
