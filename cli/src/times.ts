/** Points in the event log as people write them. */
import type { Since } from '@virtbus/shared/bus';
import { UsageError } from './spec';

const seconds: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** `all`, `new`, a sequence (`1842`), an age (`10m`, `2h`, `1d`), or a time (RFC 3339). */
export function parseSince(text: string, now: Date = new Date()): Since {
  if (text === 'all' || text === 'new') return text;
  if (/^\d+$/.test(text)) return { sequence: Number(text) };
  const [, count, unit = ''] = /^(\d+)([smhdw])$/.exec(text) ?? [];
  if (count) return { time: new Date(now.getTime() - Number(count) * seconds[unit]! * 1_000) };
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (!Number.isNaN(time.getTime())) return { time };
  throw new UsageError(
    `--since: '${text}' is neither all, new, a sequence, an age (10m, 2h, 1d) nor a time (RFC 3339)`,
  );
}
