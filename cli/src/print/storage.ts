/** Pools and volumes in virsh's tables, and one of each in full. */
import type { PoolSummary, VolumeSummary } from '@virtbus/shared';
import type { Paint } from '../output';
import { formatBytes } from '../sizes';
import { fields, safe, table } from './table';

const yes = (value: boolean): string => (value ? 'yes' : 'no');

function stateOf({ state }: PoolSummary, paint?: Paint): string {
  const word = state === 'running' ? 'active' : state;
  return paint && state !== 'inactive' ? paint(state === 'running' ? 'green' : 'red', word) : word;
}

const space = (pool: PoolSummary, bytes: number): string => (pool.state === 'inactive' ? '-' : formatBytes(bytes));

export function printPools(pools: readonly PoolSummary[], { details }: { details: boolean }, paint: Paint): string {
  const head = ['Name', 'State', 'Autostart', 'Host'];
  const more = ['Type', 'Persistent', 'Capacity', 'Allocation', 'Available'];
  const rows = pools.map((pool) => [
    safe(pool.name),
    stateOf(pool, paint),
    yes(pool.autostart),
    pool.host,
    ...(details
      ? [
          pool.type,
          yes(pool.persistent),
          space(pool, pool.capacity),
          space(pool, pool.allocation),
          space(pool, pool.available),
        ]
      : []),
  ]);
  return table(details ? [...head, ...more] : head, rows, paint);
}

export function printPool(pool: PoolSummary): string {
  const active = pool.state !== 'inactive';
  return fields([
    ['Name', safe(pool.name)],
    ['UUID', pool.uuid],
    ['Host', pool.host],
    ['Type', pool.type],
    ['State', active ? pool.state : 'inactive'],
    ['Persistent', yes(pool.persistent)],
    ['Autostart', yes(pool.autostart)],
    ['Path', pool.path && safe(pool.path)],
    ['Capacity', active ? formatBytes(pool.capacity) : undefined],
    ['Allocation', active ? formatBytes(pool.allocation) : undefined],
    ['Available', active ? formatBytes(pool.available) : undefined],
    ['Volumes', active ? pool.volumes : undefined],
  ]);
}

export function printVolumes(
  volumes: readonly VolumeSummary[],
  { details }: { details: boolean },
  paint: Paint,
): string {
  if (!details)
    return table(
      ['Name', 'Path'],
      volumes.map(({ name, path }) => [safe(name), safe(path)]),
      paint,
    );
  const rows = volumes.map((volume) => [
    safe(volume.name),
    safe(volume.path),
    volume.type,
    volume.format ?? '-',
    formatBytes(volume.capacity),
    formatBytes(volume.allocation),
    safe(volume.fault ?? volume.backing?.path ?? ''),
  ]);
  return table(['Name', 'Path', 'Type', 'Format', 'Capacity', 'Allocation', 'Stands on'], rows, paint);
}

export function printVolume(volume: VolumeSummary, { bytes }: { bytes: boolean }): string {
  const size = (value: number): string => (bytes ? `${value} bytes` : formatBytes(value));
  return fields([
    ['Name', safe(volume.name)],
    ['Pool', safe(volume.pool)],
    ['Host', volume.host],
    ['Type', volume.type],
    ['Format', volume.format],
    ['Capacity', size(volume.capacity)],
    ['Allocation', size(volume.allocation)],
    ['Stands on', volume.backing && safe(volume.backing.path)],
    ['Encrypted', volume.encrypted ? 'yes' : undefined],
    ['Fault', volume.fault && safe(volume.fault)],
  ]);
}
