/**
 * Who may work on a domain at a time: one normal job, one agent job, one asynchronous job, and beside an asynchronous
 * job only what cannot disturb it. Queries take no job; `destroy` takes none either, it interrupts.
 *
 * Source: libvirt's job model, `virDomainJob` and `virDomainAsyncJob`.
 */
import { VirtError } from '@virtbus/shared';

export type NormalJob = 'suspend' | 'modify' | 'abort' | 'migration-op';
export type AsyncJob = 'start' | 'save' | 'restore' | 'dump' | 'snapshot' | 'migration-out' | 'migration-in' | 'backup';

/** Normal jobs that may run beside an asynchronous one. */
const beside: Record<AsyncJob, readonly NormalJob[]> = {
  start: [],
  restore: [],
  snapshot: [],
  save: ['abort'],
  dump: ['abort'],
  'migration-out': ['abort', 'suspend', 'migration-op'],
  'migration-in': [],
  backup: ['abort', 'suspend', 'modify'],
};

export type Slot = 'normal' | 'agent' | 'async';

/** How long a call waits for its turn, milliseconds: libvirt's 30 s. */
const waitMs = 30_000;

interface Holder {
  /** The operation that holds the slot, for the error another caller gets. */
  by: string;
  job: string;
}

export class Jobs {
  private readonly held = new Map<Slot, Holder>();
  private waiters: (() => void)[] = [];

  get busy(): boolean {
    return this.held.size > 0;
  }

  normal(job: NormalJob, by: string, signal?: AbortSignal): Promise<Disposable> {
    return this.acquire('normal', { job, by }, signal, () => {
      const running = this.held.get('async');
      return !this.held.has('normal') && (!running || beside[running.job as AsyncJob].includes(job));
    });
  }

  agent(by: string, signal?: AbortSignal): Promise<Disposable> {
    return this.acquire('agent', { job: 'agent', by }, signal, () => !this.held.has('agent'));
  }

  async(job: AsyncJob, by: string, signal?: AbortSignal): Promise<Disposable> {
    return this.acquire('async', { job, by }, signal, () => !this.held.has('async') && !this.held.has('normal'));
  }

  private async acquire(
    slot: Slot,
    holder: Holder,
    signal: AbortSignal | undefined,
    free: () => boolean,
  ): Promise<Disposable> {
    const deadline = Date.now() + waitMs;
    while (!free()) {
      const left = deadline - Date.now();
      const blocking = this.held.get('async') ?? this.held.get(slot);
      if (left <= 0) throw new VirtError('DOMAIN_BUSY', { job: blocking?.by ?? 'another call' });
      await this.turn(left, signal, blocking);
    }
    this.held.set(slot, holder);
    return {
      [Symbol.dispose]: () => {
        if (this.held.get(slot) !== holder) return;
        this.held.delete(slot);
        const waiting = this.waiters;
        this.waiters = [];
        for (const go of waiting) go();
      },
    };
  }

  /** Resolves when something was let go, or the time is up. */
  private turn(ms: number, signal: AbortSignal | undefined, blocking: Holder | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        clearTimeout(timer);
        reject(new VirtError('DOMAIN_BUSY', { job: blocking?.by ?? 'another call' }));
      };
      const go = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        resolve();
      };
      const timer = setTimeout(go, ms);
      if (signal?.aborted) return aborted();
      signal?.addEventListener('abort', aborted, { once: true });
      this.waiters.push(go);
    });
  }
}
