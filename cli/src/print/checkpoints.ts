/** Checkpoints as virsh shows them. */
import type { CheckpointSummary } from '@virtbus/shared';
import type { Paint } from '../output';
import { table } from './table';

/** Local time with its offset, as virsh has it. */
export function localTime(seconds: number): string {
  const date = new Date(seconds * 1_000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone}`;
}

export function printCheckpoints(checkpoints: readonly CheckpointSummary[], parents: boolean, paint: Paint): string {
  const rows = checkpoints.map(({ name, created, parent }) => [
    name,
    localTime(created),
    ...(parents ? [parent ?? ''] : []),
  ]);
  return table(['Name', 'Creation Time', ...(parents ? ['Parent'] : [])], rows, paint);
}
