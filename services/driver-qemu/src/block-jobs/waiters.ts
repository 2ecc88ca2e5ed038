/** Those who wait for block jobs of a guest: for a state, or for the end. */
import type { BlockJobState } from '@virtbus/shared';
import type { JobEnd, SavedJob } from './saved-job';

interface Waiter {
  for: readonly BlockJobState[];
  resolve: (end: JobEnd | undefined) => void;
  reject: (error: Error) => void;
}

export class JobWaiters {
  private readonly waiting = new Map<string, Waiter[]>();
  /** How jobs of ours ended, for those who come to wait for them after that. */
  private readonly ends = new Map<string, JobEnd>();

  /** @param job as it is now; undefined once it has ended */
  until(
    id: string,
    job: SavedJob | undefined,
    states: readonly BlockJobState[],
    signal?: AbortSignal,
  ): Promise<JobEnd | undefined> {
    if (job && states.includes(job.state)) return Promise.resolve(undefined);
    const end = job ? undefined : this.ends.get(id);
    if (end) return Promise.resolve(end);
    return new Promise((resolve, reject) => {
      const stop = (): void => reject(signal?.reason as Error);
      this.waiting.set(id, [...this.of(id), { for: states, resolve, reject }]);
      signal?.addEventListener('abort', stop, { once: true });
      if (signal?.aborted) stop();
    });
  }

  has(id: string): boolean {
    return this.of(id).length > 0;
  }

  /** One of that id begins. */
  begins(id: string): void {
    this.ends.delete(id);
  }

  entered({ id, state }: SavedJob): void {
    const isFor = (waiter: Waiter): boolean => waiter.for.includes(state);
    for (const waiter of this.of(id).filter(isFor)) waiter.resolve(undefined);
    this.waiting.set(
      id,
      this.of(id).filter((waiter) => !isFor(waiter)),
    );
  }

  ended(id: string, end: JobEnd): void {
    this.ends.set(id, end);
    const waiters = this.of(id);
    this.waiting.delete(id);
    for (const { resolve } of waiters) resolve(end);
  }

  /** Nothing will happen to any of them any more. */
  fail(error: Error): void {
    for (const waiters of this.waiting.values()) for (const { reject } of waiters) reject(error);
    this.waiting.clear();
  }

  private of(id: string): Waiter[] {
    return this.waiting.get(id) ?? [];
  }
}
