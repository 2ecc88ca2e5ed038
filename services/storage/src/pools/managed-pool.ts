/**
 * One pool of this host: its documents, what it holds, and whose turn it is.
 *
 * What changes the pool itself (start, stop, refresh, …) is done one at a time, in its turn. Work on volumes goes on
 * beside that, one job a volume; while there is any, the pool cannot be stopped.
 */
import { poolTypeInfo, type Pool } from '@virtbus/domain-xml/storage';
import { VirtError, type PoolSummary } from '@virtbus/shared';
import type { Contents, FoundVolume, Space } from './backends';
import type { PoolRecord } from './records';

/** What is being done with a volume. */
interface Job {
  what: string;
  /** How many only read it; 0 when one job changes it. */
  readers: number;
}

const empty: Space = { capacity: 0, allocation: 0, available: 0 };

export class ManagedPool {
  space = empty;
  volumes: ReadonlyMap<string, FoundVolume> = new Map();
  /** It runs, and could not be looked into. */
  inaccessible = false;
  /** It has been looked into since it runs, or we do. */
  private seen = false;
  private readonly jobs = new Map<string, Job>();
  private tail: Promise<unknown> = Promise.resolve();

  constructor(
    readonly host: string,
    readonly record: PoolRecord,
  ) {}

  /** What it is: what it runs with, or is to, else its definition. */
  get pool(): Pool {
    return (this.record.live ?? this.record.starting ?? this.record.definition)!;
  }

  get name(): string {
    return this.pool.name!;
  }

  get uuid(): string {
    return this.pool.uuid!;
  }

  get active(): boolean {
    return this.record.live !== undefined;
  }

  /** Does the work when all that was asked before is done; not at all when its caller has stopped waiting. */
  inTurn<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const turn = this.tail.then(() => {
      signal?.throwIfAborted();
      return work();
    });
    this.tail = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Runs a job on a volume. Throws RESOURCE_BUSY when another one is at it.
   * @param shared it only reads, and others may do so at the same time
   */
  async job<T>(volume: string, what: string, work: () => Promise<T>, shared = false): Promise<T> {
    const other = this.jobs.get(volume);
    if (other && !(shared && other.readers > 0)) throw this.busy(volume, other);
    this.mustRun();
    const job = other ?? { what, readers: 0 };
    if (shared) job.readers++;
    this.jobs.set(volume, job);
    try {
      return await work();
    } finally {
      if (shared) job.readers--;
      if (job.readers === 0) this.jobs.delete(volume);
    }
  }

  mustRun(): void {
    if (!this.active)
      throw new VirtError('OPERATION_INVALID', { detail: `storage pool '${this.name}' is not active; start it first` });
  }

  mustNotRun(): void {
    if (this.active)
      throw new VirtError('OPERATION_INVALID', { detail: `storage pool '${this.name}' is still active` });
  }

  /** Something is being done with the volume. */
  hasJob(volume: string): boolean {
    return this.jobs.has(volume);
  }

  mustBeIdle(): void {
    for (const [volume, job] of this.jobs) throw this.busy(volume, job);
  }

  private busy(volume: string, { what }: Job): VirtError {
    return new VirtError('RESOURCE_BUSY', { detail: `volume '${volume}' of pool '${this.name}' is being ${what}` });
  }

  /** It runs, and nobody knows what it holds. */
  get unseen(): boolean {
    return this.active && (this.inaccessible || !this.seen);
  }

  /**
   * What was found in it just now.
   * @param before what was known when the look began: what has come or gone since then has
   */
  holds({ space, volumes }: Contents, before = this.volumes): void {
    const found = new Map(volumes.map((one) => [one.volume.name, one]));
    // Another look that failed meanwhile has made us know nothing: nothing has gone by that.
    if (this.seen) {
      for (const [name, one] of this.volumes) if (before.get(name) !== one) found.set(name, one);
      for (const name of before.keys()) if (!this.volumes.has(name)) found.delete(name);
    }
    this.space = space;
    this.volumes = found;
    this.inaccessible = false;
    this.seen = true;
  }

  /** It has stopped: nothing is known of what it holds. */
  holdsNothing(): void {
    this.space = empty;
    this.volumes = new Map();
    this.inaccessible = false;
    this.seen = false;
  }

  put(found: FoundVolume): void {
    this.volumes = new Map(this.volumes).set(found.volume.name, found);
  }

  drop(volume: string): void {
    const rest = new Map(this.volumes);
    rest.delete(volume);
    this.volumes = rest;
  }

  /** The document with the space that the pool has now. */
  document(inactive: boolean): Pool {
    const { definition, live } = this.record;
    const shown = inactive ? (definition ?? live!) : this.pool;
    return shown === live ? { ...live, ...this.space } : shown;
  }

  summary(): PoolSummary {
    const { pool } = this;
    return {
      name: this.name,
      uuid: this.uuid,
      type: pool.type,
      host: this.host,
      state: !this.active ? 'inactive' : this.inaccessible ? 'inaccessible' : 'running',
      persistent: this.record.definition !== undefined,
      autostart: this.record.autostart,
      ...(poolTypeInfo(pool.type).network ? {} : { path: pool.target?.path }),
      ...this.space,
      volumes: this.volumes.size,
    };
  }
}
