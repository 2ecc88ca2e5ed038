/** Typed access to a key-value bucket; every write is a compare-and-set. */
import { type KV, type KvEntry, type StreamInfo } from 'nats';
import type { z } from 'zod';
import { isVirtError } from '../errors';
import { decode, encode } from './codec';
import type { Bus } from './connection';

export interface Entry<T> {
  key: string;
  value: T;
  /** What the next write must name. */
  revision: number;
}

/** A change in a bucket; `value` is absent when the key was deleted, and when this version cannot read it. */
export interface Change<T> {
  key: string;
  value: T | undefined;
  deleted: boolean;
  revision: number;
}

/** A sweep whose server is gone ends after this, milliseconds. */
const sweepMs = 10_000;

/** Another writer was first. */
export class Conflict extends Error {
  override readonly name = 'Conflict';
}

export class Table<T> {
  /** What the last sweep found, and the bucket as it was before it. */
  private swept: { mark: string; found: readonly KvEntry[] } | undefined;

  private constructor(
    private readonly kv: KV,
    private readonly schema: z.ZodType<T>,
    private readonly stream: (filter?: string) => Promise<StreamInfo>,
    private readonly root: string,
  ) {}

  static async open<T>(bus: Bus, bucket: string, schema: z.ZodType<T>): Promise<Table<T>> {
    const root = `$KV.${bucket}.`;
    const stream = async (filter?: string): Promise<StreamInfo> => {
      const jsm = await bus.jsm();
      return jsm.streams.info(`KV_${bucket}`, filter === undefined ? {} : { subjects_filter: `${root}${filter}` });
    };
    return new Table(await bus.js.views.kv(bucket, { bindOnly: true }), schema, stream, root);
  }

  async get(key: string): Promise<Entry<T> | undefined> {
    const entry = await this.kv.get(key);
    const value = entry ? this.read(entry) : undefined;
    return entry && value !== undefined ? { key, value, revision: entry.revision } : undefined;
  }

  /** The entries whose keys begin with these tokens, a token being what stands between dots. */
  async below(prefix: string): Promise<Entry<T>[]> {
    // A watch would make a consumer; the stream's own list of subjects is one question.
    const { state } = await this.stream(`${prefix}.>`);
    const keys = Object.keys(state.subjects ?? {}).map((subject) => subject.slice(this.root.length));
    const found = await Promise.all(keys.map((key) => this.get(key)));
    return found.filter((entry) => entry !== undefined);
  }

  /** Throws `Conflict` when the key is there; a value that cannot be read is not in the way. */
  async create(key: string, value: T): Promise<number> {
    try {
      return await this.guarded(key, () => this.kv.create(key, encode(value, 'json')));
    } catch (error) {
      const there = error instanceof Conflict ? await this.kv.get(key) : null;
      if (there?.operation !== 'PUT' || this.read(there) !== undefined) throw error;
      return this.update(key, value, there.revision);
    }
  }

  /** Throws `Conflict` when the key is no longer at `revision`. */
  async update(key: string, value: T, revision: number): Promise<number> {
    return this.guarded(key, () => this.kv.update(key, encode(value, 'json'), revision));
  }

  /** Deletes only the revision that was read; a key that has moved on stays. */
  async delete(key: string, revision: number): Promise<void> {
    await this.guarded(key, () => this.kv.delete(key, { previousSeq: revision }));
  }

  /** All keys now, then every change. Ends when the connection closes or the bucket goes. */
  async watch(): Promise<AsyncIterable<Change<T>> & { stop(): void }> {
    const watcher = await this.kv.watch();
    const read = (entry: KvEntry): Change<T> => ({
      key: entry.key,
      value: this.read(entry),
      deleted: entry.operation !== 'PUT',
      revision: entry.revision,
    });
    return {
      stop: () => watcher.stop(),
      [Symbol.asyncIterator]: async function* () {
        for await (const entry of watcher) yield read(entry);
      },
    };
  }

  /**
   * Everything in the bucket, in one sweep of its stream; none where nothing was written since the last. A sweep makes a
   * consumer, on which all servers of a cluster have to agree: too much for what is asked every few seconds.
   */
  async entries(): Promise<Entry<T>[]> {
    const { created, state } = await this.stream();
    // The time of the last message too: a stream that was put back may come to the same number again.
    const mark = `${created} ${state.last_seq} ${state.last_ts}`;
    if (this.swept?.mark !== mark) this.swept = { mark, found: await this.sweep() };
    return this.swept.found.flatMap((entry) => {
      const value = this.read(entry);
      return value === undefined ? [] : { key: entry.key, value, revision: entry.revision };
    });
  }

  /** The last of each key. */
  private async sweep(): Promise<KvEntry[]> {
    const found = new Map<string, KvEntry>();
    const history = await this.kv.history();
    const late = setTimeout(() => history.stop(new Error('the bucket was not read in time')), sweepMs);
    try {
      for await (const entry of history) {
        if (entry.operation === 'PUT') found.set(entry.key, entry);
        else found.delete(entry.key);
      }
    } finally {
      clearTimeout(late);
    }
    return [...found.values()];
  }

  /** A value that this version cannot read is treated as absent: the hosts are the truth, and will write it again. */
  private read(entry: KvEntry): T | undefined {
    if (entry.operation !== 'PUT') return undefined;
    try {
      return this.schema.safeParse(decode(entry.value)).data;
    } catch (error) {
      if (isVirtError(error)) return undefined;
      throw error;
    }
  }

  private async guarded<R>(key: string, write: () => Promise<R>): Promise<R> {
    try {
      return await write();
    } catch (cause) {
      // 10071: wrong last sequence (JetStream API error codes).
      const code = (cause as { api_error?: { err_code?: number } }).api_error?.err_code;
      if (code === 10071) throw new Conflict(`${key} was written by somebody else`, { cause });
      throw cause;
    }
  }
}
