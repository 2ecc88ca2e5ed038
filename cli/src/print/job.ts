/** A long job in words, and as a bar. */
import type { JobInfo } from '@virtbus/shared';
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
    ['Error', job.error],
    ['Command', job.commandId],
  ]);
}

const cells = 30;

/** `Save  [#####     ]  42 %  120 MiB of 286 MiB  3 s`; without a total only the time. */
export function progressLine(label: string, job: JobInfo | undefined, elapsedMs: number): string {
  const time = `${Math.floor(elapsedMs / 1_000)} s`;
  if (!job?.total || job.processed === undefined) return `${label}  ${time}`;
  const share = Math.max(0, Math.min(1, job.processed / job.total));
  const bar = '#'.repeat(Math.round(share * cells)).padEnd(cells);
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `${label}  [${bar}] ${percent} %  ${formatBytes(job.processed)} of ${formatBytes(job.total)}  ${time}`;
}
