/**
 * A hypervisor that keeps its guests in memory, for the tests of the runtime. It is a driver like the others: guests
 * outlive it (in `Machines`), it finds them again, and it fails or hangs where a test asks it to.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { formatDomain, parseDomain, taintsOf, type Domain } from '@virtbus/domain-xml';
import {
  resumedDetail,
  suspendedDetail,
  VirtError,
  type DomainState,
  type LifecycleDetail,
  type ReasonOf,
  type TaintType,
} from '@virtbus/shared';
import type { Driver, Facets, Guest, GuestSink, ReattachSpec, Reattached, SavedGuest, StartSpec } from '../driver';

/** What is left of a guest when its driver has died: the hypervisor's side of it. */
export interface Machine {
  pid: number;
  status: 'prelaunch' | 'running' | 'paused' | 'crashed';
}

/** The guests of a host, whichever driver process looks after them. */
export class Machines {
  readonly byUuid = new Map<string, Machine>();
  /** How those ended that ended while nobody looked. */
  readonly ends = new Map<string, { reason: ReasonOf<'shutoff'>; detail: LifecycleDetail<'stopped'> }>();
  spawned = 0;

  end(uuid: string, reason: ReasonOf<'shutoff'>, detail: LifecycleDetail<'stopped'>): void {
    this.byUuid.delete(uuid);
    this.ends.set(uuid, { reason, detail });
  }
}

/** Where a test can make the driver wait or fail. */
export type Step =
  | 'prepare'
  | 'migrate'
  | 'start'
  | 'spawned'
  | 'resume'
  | 'suspend'
  | 'destroy'
  | 'reattach'
  | 'shutdown'
  | 'save'
  | 'agent';

export class MemoryGuest implements Guest {
  readonly saved: SavedGuest;

  constructor(
    readonly uuid: string,
    public live: Domain,
    readonly machine: Machine,
    private readonly driver: MemoryDriver,
    readonly sink: GuestSink,
  ) {
    this.saved = { pid: machine.pid };
  }

  async resume(reason: ReasonOf<'running'>): Promise<void> {
    await this.driver.at('resume');
    this.machine.status = 'running';
    const event = { type: 'resumed', detail: resumedDetail(reason) } as const;
    this.sink({ kind: 'state', to: { state: 'running', reason }, event, caused: true });
  }

  async suspend(reason: ReasonOf<'paused'>): Promise<void> {
    await this.driver.at('suspend');
    this.machine.status = 'paused';
    const event = { type: 'suspended', detail: suspendedDetail(reason) } as const;
    this.sink({ kind: 'state', to: { state: 'paused', reason }, event, caused: true });
  }

  async destroy(how: Parameters<Guest['destroy']>[0]): Promise<void> {
    await this.driver.at('destroy');
    this.driver.machines.byUuid.delete(this.uuid);
    this.sink({ kind: 'ended', to: { state: 'shutoff', reason: how.reason }, detail: how.detail, caused: true });
  }

  /** What the guest does by itself. */
  powerOff(): void {
    const event = { type: 'shutdown', detail: 'guest' } as const;
    this.sink({ kind: 'state', to: { state: 'shutdown', reason: 'unknown' }, event });
    this.driver.machines.byUuid.delete(this.uuid);
    this.sink({ kind: 'ended', to: { state: 'shutoff', reason: 'shutdown' }, detail: 'shutdown' });
  }

  detach(): void {}
}

export class MemoryDriver implements Driver<MemoryGuest> {
  readonly name = 'memory';
  readonly hypervisorVersion = '1.0.0';
  readonly virtTypes = ['qemu'];
  readonly arches = ['x86_64'];
  readonly guests = new Map<string, MemoryGuest>();
  /** What happens at a step before it is done: wait, or throw. */
  readonly before = new Map<Step, () => void | Promise<void>>();

  constructor(readonly machines: Machines) {}

  async at(step: Step): Promise<void> {
    await this.before.get(step)?.();
  }

  prepare(domain: Domain): { domain: Domain; warnings: string[] } {
    void this.before.get('prepare')?.();
    return { domain, warnings: [] };
  }

  taints(domain: Domain): TaintType[] {
    return taintsOf(domain);
  }

  async start(spec: StartSpec): Promise<MemoryGuest> {
    await orAborted(this.at('start'), spec.signal);
    const machine: Machine = { pid: ++this.machines.spawned, status: 'prelaunch' };
    this.machines.byUuid.set(spec.uuid, machine);
    spec.onSpawned({ pid: machine.pid }, spec.domain);
    try {
      await orAborted(this.at('spawned'), spec.signal);
    } catch (error) {
      this.machines.byUuid.delete(spec.uuid);
      throw error;
    }
    return this.guest(spec.uuid, spec.domain, machine, spec.sink);
  }

  async reattach(spec: ReattachSpec): Promise<Reattached<MemoryGuest>> {
    await this.at('reattach');
    const machine = this.machines.byUuid.get(spec.uuid);
    if (!machine) {
      return { kind: 'gone', ...(this.machines.ends.get(spec.uuid) ?? { reason: 'crashed', detail: 'failed' }) };
    }
    const states: Record<Machine['status'], DomainState> = {
      prelaunch: { state: 'paused', reason: 'starting-up' },
      running: { state: 'running', reason: 'unknown' },
      paused: { state: 'paused', reason: 'unknown' },
      crashed: { state: 'crashed', reason: 'panicked' },
    };
    const guest = this.guest(spec.uuid, spec.domain, machine, spec.sink);
    return { kind: 'alive', guest, state: states[machine.status] };
  }

  hostCapabilities(): { xml: string; document: unknown } {
    return { xml: '<capabilities/>', document: {} };
  }

  domainCapabilities(): { xml: string; document: unknown } {
    return { xml: '<domainCapabilities/>', document: {} };
  }

  readonly facets: Facets<MemoryGuest> = {
    power: {
      shutdown: () => this.at('shutdown'),
      reboot: async (guest) => guest.sink({ kind: 'event', class: 'reboot', type: 'reboot' }),
    },
    reset: { press: async (guest) => guest.sink({ kind: 'event', class: 'reboot', type: 'reboot' }) },
    memory: { set: async () => undefined },
    save: {
      save: async (_guest, { path, domain, running }, { signal, progress }) => {
        const image = { xml: formatDomain(domain, { view: 'inactive', secrets: true }), running };
        writeFileSync(path, JSON.stringify(image), { flag: 'wx' });
        progress({ total: 100, processed: 40, remaining: 60 });
        await orAborted(this.at('save'), signal);
      },
      inspect: async (path) => {
        try {
          return JSON.parse(readFileSync(path, 'utf8')) as { xml: string; running: boolean };
        } catch (cause) {
          throw new VirtError('OPERATION_FAILED', { detail: `${path} is no save image` }, { cause });
        }
      },
    },
    agent: {
      execute: async () => {
        await this.at('agent');
        return 'pong';
      },
    },
    monitor: { execute: async () => 'ok' },
    native: {
      formats: ['memory-line'],
      toNative: (_format, { name, memory }) => `${name} ${memory.kib}`,
      fromNative: (_format, text) => {
        const [name = '', kib = ''] = text.split(' ');
        const document = `<domain type='qemu'><name>${name}</name><memory>${kib}</memory><os><type>hvm</type></os></domain>`;
        return { ...parseDomain(document, { mode: 'inactive' }), warnings: text.split(' ').slice(2) };
      },
    },
  };

  private guest(uuid: string, live: Domain, machine: Machine, sink: GuestSink): MemoryGuest {
    const guest = new MemoryGuest(uuid, live, machine, this, sink);
    this.guests.set(uuid, guest);
    return guest;
  }
}

function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return Promise.race([
    work,
    new Promise<never>((_, reject) => {
      const aborted = (): void => reject(signal.reason as Error);
      if (signal.aborted) aborted();
      else signal.addEventListener('abort', aborted, { once: true });
    }),
  ]);
}
