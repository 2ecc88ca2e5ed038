/** A long job in words, and as a bar. */
import type { JobInfo, MigrationProgress } from '@virtbus/shared';
import { formatBytes } from '../sizes';
import { fields } from './table';

const types: Record<JobInfo['type'], string> = {
  none: 'None',
  bounded: 'Bounded',
  unbounded: 'Unbounded',
  completed: 'Completed',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

export function printJob(job: JobInfo): string {
  if (job.type === 'none') return fields([['Job type', types.none]]);
  const bytes = (count: number | undefined): string | undefined =>
    count === undefined ? undefined : formatBytes(count);
  return fields([
    ['Job type', types[job.type]],
    ['Operation', job.operation.replace('-', ' ')],
    ['Time elapsed', `${Math.round(job.elapsedMs)} ms`],
    ['Data total', bytes(job.total)],
    ['Data processed', bytes(job.processed)],
    ['Data remaining', bytes(job.remaining)],
    ...(job.migration ? migrationFields(job.migration) : []),
    ['Error', job.error],
    ['Command', job.commandId],
  ]);
}

/** What is known of a migration beside the data as a whole, in virsh's words. */
export function migrationFields(now: MigrationProgress): [string, string | undefined][] {
  const bytes = (count: number | undefined): string | undefined =>
    count === undefined ? undefined : formatBytes(count);
  const rate = (count: number | undefined): string | undefined =>
    count === undefined ? undefined : `${formatBytes(count)}/s`;
  const ms = (time: number | undefined): string | undefined => (time === undefined ? undefined : `${time} ms`);
  const plain = (count: number | undefined): string | undefined => count?.toString();
  const { memory, disks, pages } = now;
  return [
    ['Time remaining', ms(memory?.rate ? Math.round((memory.remaining / memory.rate) * 1_000) : undefined)],
    ['Memory processed', bytes(memory?.processed)],
    ['Memory remaining', bytes(memory?.remaining)],
    ['Memory total', bytes(memory?.total)],
    ['Memory bandwidth', rate(memory?.rate)],
    ['File processed', bytes(disks?.processed)],
    ['File remaining', bytes(disks?.remaining)],
    ['File total', bytes(disks?.total)],
    ['Dirty rate', rate(now.dirtyRate)],
    ['Page size', bytes(now.pageSize)],
    ['Iteration', plain(now.pass)],
    ['Postcopy requests', plain(pages?.postcopyRequests)],
    ['Constant pages', plain(pages?.constant)],
    ['Normal pages', plain(pages?.normal)],
    ['Normal data', bytes(pages?.normalBytes)],
    ['Setup time', ms(now.setupMs)],
    [
      now.downtimeMs === undefined ? 'Expected downtime' : 'Total downtime',
      ms(now.downtimeMs ?? now.expectedDowntimeMs),
    ],
    ['Auto converge throttle', now.throttle === undefined ? undefined : `${now.throttle} %`],
  ];
}

const cells = 30;

/**
 * `Save  [#####     ]  42 %  120 MiB of 286 MiB  3 s`; without a total only the time. What remains tells how much is done, where it
 * is known, as virsh has it: what was processed are bytes on the wire, where an empty page is next to none and a changed one comes again.
 */
export function progressLine(label: string, job: JobInfo | undefined, elapsedMs: number): string {
  const time = `${Math.floor(elapsedMs / 1_000)} s`;
  const { total, processed, remaining } = job ?? {};
  const done = total && remaining !== undefined ? Math.max(0, total - remaining) : processed;
  if (!total || done === undefined) return `${label}  ${time}`;
  const share = Math.max(0, Math.min(1, done / total));
  const bar = '#'.repeat(Math.round(share * cells)).padEnd(cells);
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `${label}  [${bar}] ${percent} %  ${formatBytes(done)} of ${formatBytes(total)}  ${time}`;
}
