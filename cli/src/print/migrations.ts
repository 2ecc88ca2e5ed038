/** Migrations in words: a table, one in full, and a line with a bar while it runs. */
import type { Migration } from '@virtbus/shared';
import type { Paint } from '../output';
import { formatBytes } from '../sizes';
import { migrationFields, progressLine } from './job';
import { fields, safe, table } from './table';

const way = ({ source, target }: Migration): string => `${source.host} -> ${target.host}`;

export function printMigrations(migrations: readonly Migration[], paint: Paint): string {
  const rows = migrations.map((each) => [safe(each.name), way(each), each.state, each.step, each.id]);
  return table(['Domain', 'Way', 'State', 'Step', 'Id'], rows, paint);
}

export function printMigration(migration: Migration, now = Date.now()): string {
  const { name, state, step, reason, owed, started, ended, progress, id } = migration;
  const ms = (time: number | undefined): string | undefined => (time === undefined ? undefined : `${time} ms`);
  return fields([
    ['Domain', safe(name)],
    ['Way', way(migration)],
    ['State', state],
    ['Step', step],
    ['Reason', reason && safe(reason)],
    ['Yet to be told', owed.length > 0 ? owed.join(', ') : undefined],
    ['Time elapsed', ms((ended ?? now) - started)],
    ...(progress ? migrationFields(progress) : []),
    ['Id', id],
  ]);
}

/** `Migration: perform  [#####     ]  42 %  120 MiB of 286 MiB  3 s  dirty 2 MiB/s`; of the disks until the memory is on its way. */
export function migrationLine({ step, progress, started }: Migration, now = Date.now()): string {
  const { memory, disks, dirtyRate, expectedDowntimeMs } = progress ?? {};
  const sent = memory ?? disks;
  const job = sent && ({ type: 'bounded', operation: 'migration-out', elapsedMs: 0, ...sent } as const);
  return [
    progressLine(`Migration: ${step}`, job, now - started),
    ...(dirtyRate === undefined ? [] : [`dirty ${formatBytes(dirtyRate)}/s`]),
    ...(expectedDowntimeMs === undefined ? [] : [`downtime ${expectedDowntimeMs} ms`]),
  ].join('  ');
}
