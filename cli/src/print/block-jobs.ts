/** A block job in virsh's words. */
import type { BlockJob } from '@virtbus/shared';
import { progressLine } from './job';

export const jobNames: Record<BlockJob['type'], string> = {
  pull: 'Block Pull',
  copy: 'Block Copy',
  commit: 'Block Commit',
  'active-commit': 'Active Block Commit',
  backup: 'Backup',
};

/** `Block Pull: [ 42.00 %]    Bandwidth limit: 1048576 bytes/s (1.000 MiB/s)` */
export function printBlockJob({ type, processed, total, bandwidth }: BlockJob): string {
  const share = total === 0 ? 0 : (100 * processed) / total;
  const limit = `    Bandwidth limit: ${bandwidth} bytes/s (${(bandwidth / 1_024 ** 2).toFixed(3)} MiB/s)`;
  return `${jobNames[type]}: [${share.toFixed(2).padStart(6)} %]${bandwidth > 0 ? limit : ''}`;
}

/** virsh's `--raw`. */
export const printRawBlockJob = ({ type, bandwidth, processed, total }: BlockJob): string =>
  [` type=${jobNames[type]}`, ` bandwidth=${bandwidth}`, ` cur=${processed}`, ` end=${total}`].join('\n');

/** A bar for somebody who watches. */
export function blockJobLine(job: BlockJob, elapsedMs: number): string {
  const { type, disk, processed, total, state } = job;
  const bar = progressLine(
    `${jobNames[type]} ${disk}`,
    { type: 'bounded', operation: 'none', elapsedMs, total, processed },
    elapsedMs,
  );
  return state === 'running' || state === 'new' ? bar : `${bar}  ${state}`;
}
