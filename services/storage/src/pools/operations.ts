/** What can be done with a pool, as its commands ask for it. */
import { formatPool, type Pool } from '@virtbus/domain-xml/storage';
import { VirtError, type PoolSummary } from '@virtbus/shared';
import type { Call } from '@virtbus/shared/bus';
import { backendOf } from './backends';
import type { ManagedPool } from './managed-pool';
import type { Pools } from './pools';

export type Build = 'no' | 'new' | 'overwrite';

/** The pool that a command is about, which it may have made itself: what it was answered with is then what it has done. */
interface About {
  uuid: string;
  /** The answer of one that ends it. */
  summary?: PoolSummary;
}

/** The document with the uuid that a pool got from this command before. */
function underItsUuid(pools: Pools, document: Pool, call: Call): Pool {
  const begun = pools.intents.begun<About>(call);
  return begun ? { ...document, uuid: begun.uuid } : document;
}

export function define(pools: Pools, asked: Pool, build: Build, call: Call): Promise<PoolSummary> {
  const document = underItsUuid(pools, asked, call);
  return pools.claiming(document, async () => {
    const managed = pools.meant(document);
    return managed.inTurn(call.signal, async () => {
      const definition = { ...document, uuid: managed.uuid };
      const known = pools.get(managed.uuid)?.record.definition;
      if (pools.intents.begun(call) && known && formatPool(known) === formatPool(definition)) return managed.summary();
      if (build !== 'no') managed.mustNotRun();
      await built(definition, build, call.signal);
      const { record } = managed;
      const former = record.definition;
      Object.assign(record, { definition, bootId: record.bootId ?? pools.bootId });
      try {
        pools.intents.begin(call, { uuid: managed.uuid } satisfies About);
        pools.keep(managed);
      } catch (error) {
        record.definition = former;
        throw error;
      }
      pools.tell(managed, 'defined', call);
      return managed.summary();
    });
  });
}

/** A transient pool: it runs and has no definition. */
export function create(pools: Pools, asked: Pool, build: Build, call: Call): Promise<PoolSummary> {
  const document = underItsUuid(pools, asked, call);
  return pools.claiming(document, async () => {
    const managed = pools.meant(document);
    if (managed.active && pools.intents.begun(call)) return managed.summary();
    if (managed.active)
      throw new VirtError('OPERATION_INVALID', { detail: `pool is already active as '${managed.name}'` });
    if (pools.all().includes(managed))
      throw new VirtError('POOL_EXISTS', { detail: `pool '${managed.name}' is defined already; start it` });
    return managed.inTurn(call.signal, async () => {
      const { pool, record } = managed;
      await built(pool, build, call.signal);
      pools.intents.begin(call, { uuid: managed.uuid } satisfies About);
      Object.assign(record, { definition: undefined, starting: pool });
      await pools.bringUp(managed, pool, call);
      return managed.summary();
    });
  });
}

export function start(pools: Pools, ref: string, build: Build, call: Call): Promise<PoolSummary> {
  return pools.change(ref, call.signal, async (managed) => {
    const { definition } = managed.record;
    if (managed.active && pools.intents.begun(call)) return managed.summary();
    if (managed.active || !definition)
      throw new VirtError('OPERATION_INVALID', { detail: `storage pool '${managed.name}' is already active` });
    await pools.mustStartAlone(definition);
    await built(definition, build, call.signal);
    pools.intents.begin(call, { uuid: managed.uuid } satisfies About);
    await pools.bringUp(managed, definition, call);
    return managed.summary();
  });
}

async function built(pool: Pool, build: Build, signal: AbortSignal): Promise<void> {
  if (build !== 'no') await backendOf(pool).build(pool, build === 'overwrite', signal);
}

export async function stop(pools: Pools, ref: string, call: Call): Promise<PoolSummary> {
  const begun = pools.intents.begun<About>(call);
  if (begun?.summary && !pools.get(begun.uuid)?.active) return begun.summary;
  return pools.change(ref, call.signal, async (managed) => {
    managed.mustRun();
    managed.mustBeIdle();
    const { uuid, pool } = managed;
    const nothing = { capacity: 0, allocation: 0, available: 0, volumes: 0 };
    const summary: PoolSummary = { ...managed.summary(), ...nothing, state: 'inactive' };
    pools.intents.beginIfRoom(call, { uuid, summary } satisfies About);
    await backendOf(pool).stop(pool);
    pools.stopped(managed, call);
    return summary;
  });
}

export async function undefine(pools: Pools, ref: string, call: Call): Promise<PoolSummary> {
  const begun = pools.intents.begun<About>(call);
  if (begun?.summary && !pools.get(begun.uuid)) return begun.summary;
  return pools.change(ref, call.signal, async (managed) => {
    managed.mustNotRun();
    pools.intents.beginIfRoom(call, { uuid: managed.uuid, summary: managed.summary() } satisfies About);
    pools.forget(managed);
    pools.tell(managed, 'undefined', call);
    return managed.summary();
  });
}

export function build(pools: Pools, ref: string, overwrite: boolean, call: Call): Promise<PoolSummary> {
  return pools.change(ref, call.signal, async (managed) => {
    managed.mustNotRun();
    await backendOf(managed.pool).build(managed.pool, overwrite, call.signal);
    pools.tell(managed, 'built', call);
    return managed.summary();
  });
}

export function remove(pools: Pools, ref: string, call: Call): Promise<PoolSummary> {
  return pools.change(ref, call.signal, async (managed) => {
    managed.mustNotRun();
    await backendOf(managed.pool).remove(managed.pool);
    pools.tell(managed, 'deleted', call);
    return managed.summary();
  });
}

export function setAutostart(pools: Pools, ref: string, autostart: boolean, call: Call): Promise<PoolSummary> {
  return pools.change(ref, call.signal, async (managed) => {
    if (!managed.record.definition)
      throw new VirtError('OPERATION_INVALID', { detail: `pool '${managed.name}' is transient; define it first` });
    if (managed.record.autostart !== autostart) {
      managed.record.autostart = autostart;
      try {
        pools.keep(managed);
      } catch (error) {
        managed.record.autostart = !autostart;
        throw error;
      }
      pools.tell(managed, 'autostart', call, { autostart });
    }
    return managed.summary();
  });
}

export function refresh(pools: Pools, ref: string, call: Call): Promise<PoolSummary> {
  return pools.change(ref, call.signal, async (managed: ManagedPool) => {
    managed.mustRun();
    await pools.look(managed);
    pools.tell(managed, 'refreshed', call, { volumes: managed.volumes.size });
    return managed.summary();
  });
}
