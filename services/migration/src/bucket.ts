/** A bucket of the journal: entries of one kind, written with compare-and-set; one that is missing is made on the way. */
import { VirtError } from '@virtbus/shared';
import { Conflict, ensureJetStream, isMissing, Table, type Bus, type Entry } from '@virtbus/shared/bus';
import type { z } from 'zod';

export class Bucket<T> {
  private opening: Promise<Table<T>> | undefined;

  /** @param keyOf the key under which a value lies */
  constructor(
    private readonly bus: Bus,
    private readonly name: string,
    private readonly schema: z.ZodType<T>,
    private readonly keyOf: (value: T) => string,
    private readonly replicas: number,
  ) {}

  get(key: string): Promise<Entry<T> | undefined> {
    return this.on((table) => table.get(key));
  }

  all(): Promise<Entry<T>[]> {
    return this.on((table) => table.entries());
  }

  /** Throws `Conflict` when it is there. */
  async create(value: T): Promise<Entry<T>> {
    const key = this.keyOf(value);
    return { key, value, revision: await this.on((table) => table.create(key, value)) };
  }

  /** Throws `Conflict` when another has written since. */
  async write({ key, revision }: Entry<T>, value: T): Promise<Entry<T>> {
    return { key, value, revision: await this.on((table) => table.update(key, value, revision)) };
  }

  /** Every change from now on, after all that is there. Ends when the connection closes or the bucket goes. */
  watch(): ReturnType<Table<T>['watch']> {
    return this.on((table) => table.watch());
  }

  async drop({ key, revision }: Entry<T>): Promise<void> {
    await this.on((table) => table.delete(key, revision));
  }

  /** Throws `Conflict`, or `RPC` when JetStream cannot be reached. A bucket that is missing is made on the way. */
  private async on<R>(work: (table: Table<T>) => Promise<R>): Promise<R> {
    try {
      return await work(await this.table());
    } catch (error) {
      if (error instanceof Conflict) throw error;
      this.opening = undefined;
      if (!isMissing(error) && (error as { code?: string }).code !== '503') throw unreachable(error);
    }
    try {
      await ensureJetStream(this.bus, { replicas: this.replicas });
      return await work(await this.table());
    } catch (error) {
      if (error instanceof Conflict) throw error;
      this.opening = undefined;
      throw unreachable(error);
    }
  }

  private table(): Promise<Table<T>> {
    this.opening ??= Table.open(this.bus, this.name, this.schema);
    return this.opening;
  }
}

function unreachable(cause: unknown): VirtError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new VirtError(
    'RPC',
    { detail: `the journal of migrations in JetStream cannot be reached: ${why}` },
    { cause },
  );
}
