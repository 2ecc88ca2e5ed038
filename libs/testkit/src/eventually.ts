/** Waiting for a state of the world instead of for a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect, isDeepStrictEqual } from 'node:util';

export interface EventuallyOptions {
  /** How long the state may take to come about, in milliseconds (default 30 000). */
  timeoutMs?: number;
  /** Pause between two looks, in milliseconds (default 20). */
  intervalMs?: number;
}

/**
 * Asks `look` again and again until its answer is the expected one, and returns that answer.
 *
 * `expected` is a value (compared deeply) or a predicate. What `look` throws counts as "not yet".
 *
 * @throws Error with the last answer (or the last error as its cause) when the time is over.
 */
export async function eventually<T>(
  look: () => T | Promise<T>,
  expected: ((value: T) => boolean) | NoInfer<T>,
  { timeoutMs = 30_000, intervalMs = 20 }: EventuallyOptions = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: { value: T } | { error: unknown } | undefined;
  for (;;) {
    try {
      const value = await look();
      last = { value };
      if (fits(value, expected)) return value;
    } catch (error) {
      last = { error };
    }
    if (Date.now() >= deadline) throw tooLate(timeoutMs, expected, last);
    await sleep(intervalMs);
  }
}

function fits<T>(value: T, expected: unknown): boolean {
  if (typeof expected === 'function') return (expected as (value: T) => boolean)(value);
  return isDeepStrictEqual(value, expected);
}

function tooLate(timeoutMs: number, expected: unknown, last: { value: unknown } | { error: unknown }): Error {
  const wanted = typeof expected === 'function' ? `to satisfy ${expected.toString()}` : `to be ${inspect(expected)}`;
  if ('error' in last)
    return new Error(`after ${timeoutMs} ms still an error, expected ${wanted}`, { cause: last.error });
  return new Error(`after ${timeoutMs} ms still ${inspect(last.value, { depth: 6 })}, expected ${wanted}`);
}
