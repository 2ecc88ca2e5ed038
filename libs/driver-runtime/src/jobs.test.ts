import { isVirtError } from '@virtbus/shared';
import { Jobs, type AsyncJob, type NormalJob, type Wait } from './jobs';

const normalJobs: NormalJob[] = ['suspend', 'modify', 'abort', 'migration-op'];
/** libvirt's masks: which normal jobs may run beside an asynchronous one. Queries and destroy take no job here. */
const masks: Record<AsyncJob, NormalJob[]> = {
  start: [],
  restore: [],
  snapshot: ['abort'],
  save: ['abort'],
  dump: ['abort'],
  'migration-out': ['suspend', 'abort', 'migration-op'],
  'migration-in': [],
  backup: ['suspend', 'modify', 'abort'],
};

const now: Wait = { forMs: 0 };
const refusal = async (promise: Promise<Disposable>): Promise<string> => {
  const error: unknown = await promise.catch((thrown: unknown) => thrown);
  if (!isVirtError(error, 'DOMAIN_BUSY')) throw new Error('was let in', { cause: error });
  return error.message;
};
const heldBy = (by: string): string =>
  `Timed out during operation: cannot acquire state change lock (held by monitor=${by})`;

describe('jobs on a domain', () => {
  test.each(Object.entries(masks))('beside %s only %j', async (job, allowed) => {
    for (const normal of normalJobs) {
      const jobs = new Jobs();
      using _async = await jobs.async(job as AsyncJob, job);
      const beside = jobs.normal(normal, normal, now);
      if (allowed.includes(normal)) (await beside)[Symbol.dispose]();
      else expect(await refusal(beside)).toBe(heldBy(job));
    }
  });

  test('go one at a time: normal jobs, asynchronous ones, and an asynchronous one after a normal one', async () => {
    const jobs = new Jobs();
    {
      using _one = await jobs.normal('suspend', 'suspend');
      expect(await refusal(jobs.normal('modify', 'memory', now))).toBe(heldBy('suspend'));
      expect(await refusal(jobs.async('save', 'save', now))).toBe(heldBy('suspend'));
    }
    using _save = await jobs.async('save', 'save');
    expect(await refusal(jobs.async('backup', 'backup', now))).toBe(heldBy('save'));
    expect(jobs.busy).toBe(true);
  });

  test('inside the guest, by its agent, wait for their own kind alone', async () => {
    const jobs = new Jobs();
    using _start = await jobs.async('start', 'start');
    using _agent = await jobs.agent('agent');
    expect(await refusal(jobs.agent('agent', now))).toBe(heldBy('agent'));
    const other = new Jobs();
    using _normal = await other.normal('modify', 'memory');
    using _beside = await other.agent('agent');
  });

  test('are served in the order they came, by nobody who comes later', async () => {
    const jobs = new Jobs();
    const order: number[] = [];
    const first = await jobs.normal('modify', 'first');
    const waiting = Array.from({ length: 10 }, async (_, n) => {
      using _job = n % 3 === 0 ? await jobs.async('save', 'save') : await jobs.normal('modify', String(n));
      order.push(n);
      await Promise.resolve();
    });
    first[Symbol.dispose]();
    // Comes in the very moment in which the slot was let go.
    const late = jobs.normal('modify', 'late').then((job) => {
      order.push(99);
      job[Symbol.dispose]();
    });
    await Promise.all([...waiting, late]);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99]);
    expect(jobs.busy).toBe(false);
  });

  test('of a caller that has gone are not waited for, and hold nobody up', async () => {
    const jobs = new Jobs();
    const held = await jobs.normal('modify', 'memory');
    const leaving = new AbortController();
    const gone = refusal(jobs.normal('modify', 'vcpus', { signal: leaving.signal }));
    const next = jobs.normal('modify', 'next');
    leaving.abort();
    expect(await gone).toBe(heldBy('memory'));
    expect(await refusal(jobs.normal('modify', 'x', { signal: AbortSignal.abort() }))).toBe(heldBy('memory'));
    held[Symbol.dispose]();
    using _next = await next;
    held[Symbol.dispose](); // a second time: takes nothing from the one who has it now
    expect(await refusal(jobs.normal('modify', 'y', now))).toBe(heldBy('next'));
  });

  test('wait for half a minute at most, and the error names who holds the domain', async () => {
    jest.useFakeTimers();
    try {
      const jobs = new Jobs();
      await jobs.async('save', 'managed-save');
      const waiting = refusal(jobs.normal('modify', 'memory', { forMs: 3_600_000 }));
      await jest.advanceTimersByTimeAsync(29_999);
      expect(jest.getTimerCount()).toBe(1);
      await jest.advanceTimersByTimeAsync(1);
      expect(await waiting).toBe(heldBy('managed-save'));
    } finally {
      jest.useRealTimers();
    }
  });
});
