/** The pools of this host by name and uuid, on disk and in memory; and how they come up again after a restart. */
import { randomUUID } from 'node:crypto';
import type { Stats } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Pool } from '@virtbus/domain-xml/storage';
import { canonicalUuid, VirtError, type ImageFormat } from '@virtbus/shared';
import type { Call } from '@virtbus/shared/bus';
import { bootId } from '@virtbus/shared/files';
import type { NewStorageEvent, StorageHost } from '../host';
import { Intents } from '../intents';
import { backendOf, type Knowledge } from './backends';
import { MadeFormats } from './made-formats';
import { ManagedPool } from './managed-pool';
import { mustBeFit, placeOf } from './place';
import { PoolRecords } from './records';

export type Cause = NewStorageEvent['cause'];

/** How long the service waits at its start for pools to come up, milliseconds; slow ones go on by themselves. */
const patienceMs = 5_000;

export class Pools {
  /** Called when a pool has come up, before it is looked into: what a crash has left there can go. */
  onUp: (managed: ManagedPool) => Promise<void> = async () => undefined;
  readonly bootId = bootId();
  private readonly byUuid = new Map<string, ManagedPool>();
  readonly made: MadeFormats;
  /** What commands are about to do. */
  readonly intents: Intents;
  private readonly records: PoolRecords;
  /** Pools that are being defined or created. */
  private readonly coming = new Set<Coming>();

  constructor(readonly host: StorageHost) {
    this.records = new PoolRecords(host.folder, host.log);
    this.made = new MadeFormats(host.folder);
    this.intents = new Intents(host.folder);
    for (const record of this.records.load()) {
      const managed = new ManagedPool(host.name, record);
      this.byUuid.set(managed.uuid, managed);
    }
  }

  /** By name. */
  all(): ManagedPool[] {
    return [...this.byUuid.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** By name or uuid; throws POOL_NOT_FOUND. */
  find(ref: string): ManagedPool {
    const found = this.byUuid.get(canonicalUuid(ref) ?? ref) ?? this.all().find(({ name }) => name === ref);
    if (!found) throw new VirtError('POOL_NOT_FOUND', { pool: ref });
    return found;
  }

  /** By uuid; undefined when there is none. */
  get(uuid: string): ManagedPool | undefined {
    return this.byUuid.get(uuid);
  }

  /** Does the work in the pool's turn; the pool may have gone while it waited. */
  change<T>(ref: string, signal: AbortSignal | undefined, work: (pool: ManagedPool) => Promise<T>): Promise<T> {
    const managed = this.find(ref);
    return managed.inTurn(signal, () => {
      if (this.byUuid.get(managed.uuid) !== managed) throw new VirtError('POOL_NOT_FOUND', { pool: ref });
      return work(managed);
    });
  }

  /**
   * The pool that a document is about: the one that has its name and uuid, or a new one that is not kept yet.
   * Throws POOL_EXISTS when name and uuid belong to two, or another pool has the same storage.
   */
  meant(document: Pool): ManagedPool {
    const uuid = document.uuid ?? randomUUID();
    const pool = { ...document, uuid };
    for (const other of this.all()) {
      if (other.uuid === uuid && other.name === pool.name) continue;
      if (other.uuid === uuid || other.name === pool.name)
        throw new VirtError('POOL_EXISTS', { detail: `pool '${other.name}' already exists with uuid ${other.uuid}` });
      if (storageOf(other.pool) === storageOf(pool))
        throw new VirtError('POOL_EXISTS', { detail: `Storage source conflict with pool: '${other.name}'` });
    }
    return this.byUuid.get(uuid) ?? new ManagedPool(this.host.name, { definition: pool, autostart: false });
  }

  /**
   * Does the work by which a pool comes to be: one at a time of those that only one can be. Throws RESOURCE_BUSY; INVALID_ARG
   * for what can be no pool, POOL_EXISTS where another one has its folder by another path.
   */
  async claiming<T>(pool: Pool, work: () => Promise<T>): Promise<T> {
    const place = await placeOf(pool);
    mustBeFit(pool, place);
    const comes = { pool, place };
    const other = [...this.coming].find((one) => isOneOf(one, comes));
    if (other)
      throw new VirtError('RESOURCE_BUSY', { detail: `pool '${other.pool.name}' is being defined by another call` });
    this.coming.add(comes);
    try {
      await this.mustBeAlone(pool, place, this.all());
      return await work();
    } finally {
      this.coming.delete(comes);
    }
  }

  /** Before a pool is started: a link may have come into its path since it was defined. */
  async mustStartAlone(pool: Pool): Promise<void> {
    const running = this.all().filter(({ active }) => active);
    await this.mustBeAlone(pool, await placeOf(pool), running);
  }

  /** Throws POOL_EXISTS where one of these has the folder. Those of its name or uuid are the pool itself, or refused as that. */
  private async mustBeAlone(pool: Pool, place: string | undefined, others: readonly ManagedPool[]): Promise<void> {
    if (place === undefined) return;
    for (const other of others) {
      if (other.name === pool.name || other.uuid === pool.uuid || (await placeOf(other.pool)) !== place) continue;
      const detail = `Storage source conflict with pool: '${other.name}': ${pool.target?.path} and ${other.pool.target?.path} are one folder`;
      throw new VirtError('POOL_EXISTS', { detail });
    }
  }

  /** Write its record, and know it from now on. */
  keep(managed: ManagedPool): void {
    this.records.save(managed.uuid, managed.record);
    this.byUuid.set(managed.uuid, managed);
  }

  forget(managed: ManagedPool): void {
    this.records.drop(managed.uuid);
    this.made.forget(managed.uuid);
    this.byUuid.delete(managed.uuid);
  }

  tell(managed: ManagedPool, type: string, cause: Cause, data?: Record<string, unknown>): void {
    this.host.tell({ entity: 'pool', name: managed.name, type, cause, data: { uuid: managed.uuid, ...data } });
  }

  /** Pools that ran when we died run on; after a boot of the host those with autostart do. */
  async comeUp(): Promise<void> {
    const risen = this.all().map((managed) => managed.inTurn(undefined, () => this.revive(managed)));
    await Promise.race([Promise.all(risen), new Promise((resolve) => setTimeout(resolve, patienceMs).unref())]);
  }

  private async revive(managed: ManagedPool): Promise<void> {
    const { record, pool } = managed;
    const sameBoot = record.bootId === this.bootId;
    try {
      if (record.starting) {
        // We died over that: it may be up.
        if (sameBoot) return await this.bringUp(managed, record.starting);
        this.notStarted(managed, record.bootId);
      }
      if (managed.active && sameBoot && (await backendOf(pool).isUp(pool))) {
        await this.onUp(managed);
        return await this.look(managed);
      }
      const ran = managed.active;
      if (ran) this.stopped(managed, undefined, record.bootId);
      if (record.autostart && !sameBoot && record.definition) await this.bringUp(managed, record.definition);
    } catch (error) {
      if (managed.active) managed.inaccessible = true;
      this.host.log.warn({ pool: managed.name, reason: String(error) }, 'a pool did not come up');
    }
  }

  /** Make it usable and find its volumes; it is left down when that fails, or cannot be kept. */
  async bringUp(managed: ManagedPool, pool: Pool, call?: Pick<Call, 'id' | 'traceparent' | 'signal'>): Promise<void> {
    const backend = backendOf(pool);
    const { record } = managed;
    const { bootId } = record;
    try {
      Object.assign(record, { starting: pool, bootId: this.bootId });
      this.keep(managed);
      await backend.start(pool, call?.signal);
      try {
        await this.onUp(managed);
        managed.holds(await backend.look(pool, this.known(managed)));
        Object.assign(record, { live: pool, starting: undefined });
        this.keep(managed);
        this.tell(managed, 'started', call);
      } catch (error) {
        await backend.stop(pool).catch(() => undefined);
        throw error;
      }
    } catch (error) {
      managed.holdsNothing();
      this.notStarted(managed, bootId);
      throw error;
    }
  }

  /** Its start has come to nothing; a transient one is forgotten. */
  private notStarted(managed: ManagedPool, bootId: string | undefined): void {
    const { record } = managed;
    try {
      if (record.definition === undefined) return this.forget(managed);
      Object.assign(record, { live: undefined, starting: undefined, bootId });
      this.keep(managed);
    } catch (err) {
      // Told of the start's own failure, the caller knows that it is down; the next process of ours tries it again.
      this.host.log.warn({ err, pool: managed.name }, 'that a pool was not started cannot be kept');
    }
  }

  /**
   * It does not run any more; a transient one is forgotten.
   * @param bootId when it is to start by itself again: not before another boot
   */
  stopped(managed: ManagedPool, cause: Cause, bootId: string | undefined = this.bootId): void {
    const { record } = managed;
    this.tell(managed, 'stopped', cause);
    managed.holdsNothing();
    if (record.definition === undefined) return this.forget(managed);
    record.live = undefined;
    record.bootId = bootId;
    this.keep(managed);
  }

  /** What we know of the images in a pool. */
  known(managed: ManagedPool): Knowledge {
    return {
      formatOf: (name, stats) => this.made.formatOf(managed.uuid, name, stats),
      before: (name) => managed.volumes.get(name),
    };
  }

  /** The format of an image that we made, wherever it lies. */
  formatOfFile(path: string, stats: Stats): ImageFormat | undefined {
    const owner = this.all().find(({ pool }) => pool.target?.path === dirname(path));
    return owner && this.made.formatOf(owner.uuid, basename(path), stats);
  }

  /** Look into a pool that runs. */
  async look(managed: ManagedPool): Promise<void> {
    const noted = this.made.names(managed.uuid);
    const before = managed.volumes;
    try {
      managed.holds(await backendOf(managed.pool).look(managed.pool, this.known(managed)), before);
      this.made.keepOnly(managed.uuid, noted, managed.volumes);
    } catch (error) {
      managed.holdsNothing();
      managed.inaccessible = true;
      throw error;
    }
  }
}

/** A pool that is being defined or created. */
interface Coming {
  pool: Pool;
  /** Its folder, links followed. */
  place: string | undefined;
}

/** Whether only one of two pools that come can be there. */
const isOneOf = ({ pool: one, place }: Coming, { pool: other, place: elsewhere }: Coming): boolean =>
  one.name === other.name ||
  (one.uuid !== undefined && one.uuid === other.uuid) ||
  storageOf(one) === storageOf(other) ||
  (place !== undefined && place === elsewhere);

/** What two pools must not share. */
function storageOf({ type, source, target }: Pool): string {
  const parts = {
    logical: [source.name],
    disk: source.devices.map(({ path }) => path),
  } as Partial<Record<typeof type, unknown[]>>;
  const hosts = source.hosts.map(({ name, port }) => [name, port]);
  const remote = [hosts, source.devices, source.dir, source.name, source.adapter];
  const byFolder = type === 'dir' || type === 'fs' || type === 'netfs';
  return JSON.stringify(byFolder ? ['folder', target?.path] : [type, parts[type] ?? [...remote, target?.path]]);
}
