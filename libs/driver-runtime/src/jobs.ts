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
  snapshot: ['abort'],
  save: ['abort'],
  dump: ['abort'],
  'migration-out': ['abort', 'suspend', 'migration-op'],
  'migration-in': [],
  backup: ['abort', 'suspend', 'modify'],
};

export type Slot = 'normal' | 'agent' | 'async';

/** How long a call waits for its turn, milliseconds: libvirt's 30 s. */
const waitMs = 30_000;

/** How a caller waits for its turn. */
export interface Wait {
  signal?: AbortSignal | undefined;
  /** Give up after this, milliseconds; never later than libvirt's 30 s. */
  forMs?: number | undefined;
}

interface Holder {
  /** The operation that holds the slot, for the error another caller gets. */
  by: string;
  job: string;
}

interface Waiter {
  free: () => boolean;
  grant: () => void;
}

export class Jobs {
  private readonly held = new Map<Slot, Holder>();
  /** First come, first served: whoever can go on is let go when a slot is freed, so nobody who comes later is faster. */
  private readonly waiters: Waiter[] = [];

  get busy(): boolean {
    return this.held.size > 0;
  }

  normal(job: NormalJob, by: string, wait?: Wait): Promise<Disposable> {
    return this.acquire('normal', { job, by }, wait, () => {
      const running = this.held.get('async');
      return !this.held.has('normal') && (!running || beside[running.job as AsyncJob].includes(job));
    });
  }

  agent(by: string, wait?: Wait): Promise<Disposable> {
    return this.acquire('agent', { job: 'agent', by }, wait, () => !this.held.has('agent'));
  }

  async(job: AsyncJob, by: string, wait?: Wait): Promise<Disposable> {
    return this.acquire('async', { job, by }, wait, () => !this.held.has('async') && !this.held.has('normal'));
  }

  private acquire(slot: Slot, holder: Holder, wait: Wait = {}, free: () => boolean): Promise<Disposable> {
    if (free()) return Promise.resolve(this.hold(slot, holder));
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        wait.signal?.removeEventListener('abort', refuse);
        const place = this.waiters.indexOf(waiter);
        if (place !== -1) this.waiters.splice(place, 1);
      };
      const refuse = (): void => {
        leave();
        // An agent job waits for its own kind alone.
        const blocking =
          (slot === 'agent' ? undefined : (this.held.get('async') ?? this.held.get('normal'))) ?? this.held.get(slot);
        reject(new VirtError('DOMAIN_BUSY', { job: blocking?.by ?? 'another call' }));
      };
      const waiter: Waiter = {
        free,
        grant: () => {
          leave();
          resolve(this.hold(slot, holder));
        },
      };
      const timer = setTimeout(refuse, Math.max(0, Math.min(waitMs, wait.forMs ?? waitMs)));
      this.waiters.push(waiter);
      if (wait.signal?.aborted) refuse();
      else wait.signal?.addEventListener('abort', refuse, { once: true });
    });
  }

  private hold(slot: Slot, holder: Holder): Disposable {
    this.held.set(slot, holder);
    return {
      [Symbol.dispose]: () => {
        if (this.held.get(slot) !== holder) return;
        this.held.delete(slot);
        for (const waiter of [...this.waiters]) if (waiter.free()) waiter.grant();
      },
    };
  }
}
