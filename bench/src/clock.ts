/** Clocks: wall-clock time finer than a millisecond, and waiting for a machine that has nothing else to do. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Seconds since 1970 of a moment of `performance.now()`, to a few microseconds.
 *
 * Node's own `timeOrigin` was taken when the process began and does not follow corrections of the clock since; so the
 * offset is measured here. What `Date.now` leaves out makes it too small, but for the turn of a millisecond: the largest of
 * many is right, of which one at least was not interrupted.
 */
export function wallClock(): (performanceNow: number) => number {
  const end = performance.now() + calibrationMs;
  let offset = -Infinity;
  while (performance.now() < end) offset = Math.max(offset, Date.now() - performance.now());
  return (moment) => (moment + offset) / 1000;
}

/** So many turns of a millisecond are seen. */
const calibrationMs = 50;

/** Share of the processors' time below which a machine has nothing else to do. */
const idle = 0.15;

/**
 * Waits until the processors are mostly idle, at most `patienceMs`: guests that have just booted are busy, and so are
 * other programs. False when they stayed busy.
 */
export async function machineIsQuiet(patienceMs = 20_000): Promise<boolean> {
  const deadline = performance.now() + patienceMs;
  let before = processorTime();
  while (performance.now() < deadline) {
    await sleep(500);
    const now = processorTime();
    if ((now.busy - before.busy) / (now.total - before.total) < idle) return true;
    before = now;
  }
  return false;
}

/** The first line of /proc/stat: user nice system idle iowait …, in clock ticks since boot. */
function processorTime(): { busy: number; total: number } {
  const ticks = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!.split(/\s+/).slice(1).map(Number);
  const total = ticks.reduce((sum, each) => sum + each, 0);
  return { total, busy: total - ticks[3]! - ticks[4]! };
}
