/** The operations on pools as endpoints. */
import { formatPool, parsePool, poolFromJson, poolToJson, poolTypeNames, type Pool } from '@virtbus/domain-xml/storage';
import {
  buildPool,
  createPool,
  definePool,
  deletePool,
  getPool,
  getPoolXml,
  listPools,
  refreshPool,
  setPoolAutostart,
  startPool,
  stopPool,
  undefinePool,
  VirtError,
  type Contract,
  type PoolSummary,
  type Request,
  type Response,
} from '@virtbus/shared';
import { endpoint, type Call, type Endpoint } from '@virtbus/shared/bus';
import * as operations from './operations';
import type { Pools } from './pools';

export function poolEndpoints(pools: Pools): { queries: Endpoint[]; commands: Endpoint[] } {
  const on = <C extends Contract>(c: C, handler: (request: Request<C>, call: Call) => Promise<Response<C>>): Endpoint =>
    endpoint(c, handler, pools.host.name);
  const changed = async (work: Promise<PoolSummary>): Promise<{ pool: PoolSummary }> => ({ pool: await work });
  return {
    queries: [
      on(listPools, async (filter) => ({
        pools: pools
          .all()
          .map((pool) => pool.summary())
          .filter(matching(filter)),
      })),
      on(getPool, async ({ pool }) => ({ pool: pools.find(pool).summary() })),
      on(getPoolXml, async ({ pool, inactive, format }) => {
        const document = pools.find(pool).document(inactive);
        return format === 'xml' ? { xml: formatPool(document) } : { document: poolToJson(document) };
      }),
    ],
    commands: [
      on(definePool, (request, call) => changed(operations.define(pools, given(request), request.build, call))),
      on(createPool, (request, call) => changed(operations.create(pools, given(request), request.build, call))),
      on(startPool, ({ pool, build }, call) => changed(operations.start(pools, pool, build, call))),
      on(stopPool, ({ pool }, call) => changed(operations.stop(pools, pool, call))),
      on(undefinePool, ({ pool }, call) => changed(operations.undefine(pools, pool, call))),
      on(buildPool, ({ pool, overwrite }, call) => changed(operations.build(pools, pool, overwrite, call))),
      on(deletePool, ({ pool }, call) => changed(operations.remove(pools, pool, call))),
      on(setPoolAutostart, ({ pool, autostart }, call) =>
        changed(operations.setAutostart(pools, pool, autostart, call)),
      ),
      on(refreshPool, ({ pool }, call) => changed(operations.refresh(pools, pool, call))),
    ],
  };
}

function given({ xml, document }: { xml?: string | undefined; document?: unknown }): Pool {
  if (xml !== undefined) return parsePool(xml);
  if (document !== undefined) return poolFromJson(document);
  throw new VirtError('INVALID_ARG', { detail: 'xml or document is needed: the definition of the pool' });
}

function matching({ active, persistent, autostart, types }: Request<typeof listPools>) {
  for (const type of types ?? []) {
    if ((poolTypeNames as readonly string[]).includes(type)) continue;
    throw new VirtError('INVALID_ARG', {
      detail: `no pool is of type '${type}'; types are ${poolTypeNames.join(', ')}`,
    });
  }
  return (pool: PoolSummary): boolean =>
    (active === undefined || (pool.state !== 'inactive') === active) &&
    (persistent === undefined || pool.persistent === persistent) &&
    (autostart === undefined || pool.autostart === autostart) &&
    (types === undefined || types.includes(pool.type));
}
