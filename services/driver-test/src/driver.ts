/**
 * The simulated hypervisor (libvirt: the test driver): domains of type `test` live a whole life through the real runtime,
 * journal and bus, and cost next to nothing. For trying a fleet of any size, and for measuring ours.
 */
import { checkDomain, fillDefaults, type Domain } from '@virtbus/domain-xml';
import {
  readHostInfo,
  type Driver,
  type Facets,
  type HostInfo,
  type Reattached,
  type ReattachSpec,
  type StartSpec,
} from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import { domainCapabilities, hostCapabilities } from './capabilities';
import { TestGuest } from './guest';
import { Machines } from './machines';

export interface TestDriverOptions {
  /** Folder of the simulated machines. */
  folder: string;
  /** How often in all a running guest reboots by itself. */
  rebootsPerSecond: number;
  log: Log;
}

/** The part of a processor that a running guest is said to use. */
const cpuShare = 0.05;

export class TestDriver implements Driver<TestGuest> {
  readonly name = 'test';
  readonly hypervisorVersion = '1.0.0';
  readonly virtTypes = ['test'];
  readonly arches: readonly string[];
  private readonly guests = new Map<string, TestGuest>();

  private constructor(
    private readonly machines: Machines,
    private readonly info: HostInfo,
  ) {
    this.arches = [info.arch];
  }

  static async open({ folder, rebootsPerSecond, log }: TestDriverOptions): Promise<TestDriver> {
    const driver = new TestDriver(new Machines(folder), await readHostInfo());
    if (rebootsPerSecond > 0) driver.rebootInTurn(rebootsPerSecond);
    log.info({ folder, rebootsPerSecond }, 'simulated machines');
    return driver;
  }

  prepare(domain: Domain): { domain: Domain; warnings: string[] } {
    if (domain.type !== 'test') {
      throw new VirtError('XML_ERROR', { detail: `domain type '${domain.type}' is not simulated; expected 'test'` });
    }
    const filled = fillDefaults(domain, undefined);
    if (filled.os.type) filled.os.type.arch ??= this.info.arch;
    checkDomain(filled);
    return { domain: filled, warnings: [] };
  }

  async start(spec: StartSpec): Promise<TestGuest> {
    if (spec.restore) throw new VirtError('UNSUPPORTED_BY_DRIVER', { driver: this.name, operation: 'restore' });
    this.machines.write(spec.uuid, { status: 'paused', since: Date.now() });
    spec.onSpawned({}, spec.domain);
    return this.guest(spec);
  }

  async reattach(spec: ReattachSpec): Promise<Reattached<TestGuest>> {
    const machine = this.machines.read(spec.uuid);
    if (!machine) return { kind: 'gone', reason: 'crashed', detail: 'failed' };
    const state = { state: machine.status, reason: 'unknown' } as const;
    return { kind: 'alive', guest: this.guest(spec), state };
  }

  hostCapabilities(): { xml: string; document: unknown } {
    return hostCapabilities(this.info);
  }

  domainCapabilities(ask: Parameters<Driver['domainCapabilities']>[0]): { xml: string; document: unknown } {
    return domainCapabilities(this.info, ask);
  }

  readonly facets: Facets<TestGuest> = {
    power: { shutdown: async (guest) => guest.powerOff(), reboot: async (guest) => guest.reboot() },
    reset: { press: async (guest) => guest.reboot() },
    memory: { set: async (guest, kib) => guest.setMemory(kib) },
    stats: {
      collect: async (guest, groups) => {
        const ranMs = 1 + Date.now() - (guest.machine?.since ?? Date.now());
        const timeNs = Math.round(ranMs * 1_000_000 * cpuShare);
        const kib = guest.live.memory.kib;
        return {
          ...(groups.has('cpu') ? { cpu: { timeNs, userNs: timeNs, systemNs: 0 } } : {}),
          ...(groups.has('balloon')
            ? { balloon: { currentKiB: guest.live.currentMemory ?? kib, maximumKiB: kib, rssKiB: kib } }
            : {}),
        };
      },
    },
  };

  private guest({ uuid, domain, sink }: Pick<StartSpec, 'uuid' | 'domain' | 'sink'>): TestGuest {
    const guest = new TestGuest(uuid, domain, this.machines, (news) => {
      if (news.kind === 'ended' && this.guests.get(uuid) === guest) this.guests.delete(uuid);
      sink(news);
    });
    this.guests.set(uuid, guest);
    return guest;
  }

  /** One guest after the other, round and round. */
  private rebootInTurn(perSecond: number): void {
    let owed = 0;
    let order: TestGuest[] = [];
    const everyMs = 50;
    setInterval(() => {
      for (owed += (perSecond * everyMs) / 1_000; owed >= 1; owed--) {
        if (order.length === 0) order = [...this.guests.values()];
        const next = order.shift();
        if (next?.machine?.status === 'running') next.reboot();
      }
    }, everyMs).unref();
  }
}
