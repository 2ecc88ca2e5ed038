/** Trying again, for work that nobody waits for. */

/**
 * One turn an attempt, counted from 1: the next comes after a pause, each twice as long as the last until the longest. Goes on
 * for ever: who has done what it tried, or gives it up, leaves the loop. Keeps no process alive.
 * @param pauses milliseconds
 */
export async function* attempts(pauses: { first: number; longest: number }): AsyncGenerator<number, never> {
  let pauseMs = pauses.first;
  for (let attempt = 1; ; attempt++) {
    yield attempt;
    const ms = pauseMs;
    await new Promise((resolve) => setTimeout(resolve, ms).unref());
    pauseMs = Math.min(2 * pauseMs, pauses.longest);
  }
}
