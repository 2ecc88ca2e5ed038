/** Points in the event log as people write them. */
import type { Since } from '@virtbus/shared/bus';
import { UsageError } from './spec';

const seconds: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** `all`, `new`, a sequence (`1842`), an age (`10m`, `2h`, `1d`), or a time (RFC 3339). */
export function parseSince(text: string, now: Date = new Date()): Since {
  if (text === 'all' || text === 'new') return text;
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return { sequence: Number(text) };
  const [, count, unit = ''] = /^(\d+)([smhdw])$/.exec(text) ?? [];
  if (count) return { time: stored(now.getTime() - Number(count) * seconds[unit]! * 1_000) };
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return { time: stored(time) };
  throw new UsageError(
    `--since: '${text}' is neither all, new, a sequence, an age (10m, 2h, 1d) nor a time (RFC 3339)`,
  );
}

/** Nothing was stored before 1970, and a server takes no time before the year 1. */
const stored = (time: number): Date => new Date(Math.max(0, time));

/** How far ahead: `12h`, `90d`, `52w`, or the time itself (RFC 3339); it must not be past. */
export function parseExpiry(text: string, now: Date = new Date()): Date {
  const [, count, unit = ''] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  const time = count
    ? new Date(now.getTime() + Number(count) * seconds[unit]! * 1_000)
    : new Date(/^\d{4}-\d\d-\d\d/.test(text) ? text : Number.NaN);
  if (Number.isNaN(time.getTime())) {
    throw new UsageError(`--expires: '${text}' is neither a time from now (12h, 90d, 52w) nor a time (RFC 3339)`);
  }
  if (time <= now) throw new UsageError(`--expires: '${text}' is past`);
  return time;
}
