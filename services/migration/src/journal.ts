/**
 * The journal of migrations: one entry of a bucket each, written with compare-and-set by whichever copy drives it, and by
 * any copy where somebody gives it up.
 */
import {
  buckets,
  DomainSummary,
  type Migration,
  MigrationEnd,
  MigrationId,
  MigrationOptions,
  Uuid,
  VirtError,
} from '@virtbus/shared';
import { Conflict, ensureJetStream, isMissing, Table, type Bus, type Entry } from '@virtbus/shared/bus';
import { Ledger } from '@virtbus/migration-saga';
import { z } from 'zod';

const ms = z.number().describe('milliseconds since 1970');

export const Saga = z.object({
  id: MigrationId,
  domain: Uuid,
  /** On the source. */
  name: z.string(),
  /** Of the domain on the source, when it was asked for. */
  epoch: DomainSummary.shape.epoch,
  source: MigrationEnd,
  target: MigrationEnd,
  options: MigrationOptions,
  timeout: z.object({ afterMs: z.number(), action: z.enum(['suspend', 'postcopy', 'abort']) }).optional(),
  ledger: Ledger,
  /** The copy of the service that drives it. */
  copy: z.string(),
  started: ms,
  ended: ms.optional(),
});
export type Saga = z.infer<typeof Saga>;

export type SagaEntry = Entry<Saga>;

export class SagaJournal {
  private opening: Promise<Table<Saga>> | undefined;

  constructor(
    private readonly bus: Bus,
    private readonly replicas: number,
  ) {}

  get(id: string): Promise<SagaEntry | undefined> {
    return this.on((table) => table.get(id));
  }

  all(): Promise<SagaEntry[]> {
    return this.on((table) => table.entries());
  }

  /** Throws `Conflict` when it is there. */
  async create(saga: Saga): Promise<SagaEntry> {
    const revision = await this.on((table) => table.create(saga.id, saga));
    return { key: saga.id, value: saga, revision };
  }

  /** Throws `Conflict` when another has written since. */
  async write({ key, revision }: SagaEntry, saga: Saga): Promise<SagaEntry> {
    return { key, value: saga, revision: await this.on((table) => table.update(key, saga, revision)) };
  }

  /** Every change from now on, after all that is there. Ends when the connection closes or the bucket goes. */
  watch(): ReturnType<Table<Saga>['watch']> {
    return this.on((table) => table.watch());
  }

  async drop({ key, revision }: SagaEntry): Promise<void> {
    await this.on((table) => table.delete(key, revision));
  }

  /** Throws `Conflict`, or `RPC` when JetStream cannot be reached. A bucket that is missing is made on the way. */
  private async on<R>(work: (table: Table<Saga>) => Promise<R>): Promise<R> {
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

  private table(): Promise<Table<Saga>> {
    this.opening ??= Table.open(this.bus, buckets.migrations, Saga);
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

/** What users are told of it. */
export function told({ id, domain, name, source, target, ledger, options, started, ended }: Saga): Migration {
  const { bandwidth, postcopyBandwidth, downtimeMs } = options;
  const { step, settled, givenUp, owes } = ledger;
  return {
    id,
    domain,
    name,
    source,
    target,
    state: settled ?? 'running',
    step,
    ...(givenUp && settled !== 'completed' && { reason: givenUp.reason }),
    started,
    ...(ended !== undefined && { ended }),
    owed: owes ? [owes] : [],
    limits: { bandwidth, postcopyBandwidth, downtimeMs },
  };
}
