/** Tells the fleet that this host is there: every two seconds, and soon after each change. Never stored. */
import { cpus, loadavg } from 'node:os';
import { statSubject, type HostStatus } from '@virtbus/shared';
import { encode, type Bus } from '@virtbus/shared/bus';
import type { DriverHost } from './host';
import { hostMemory } from './memory';

const beatMs = 2_000;
/** Changes within this time are told together, milliseconds. */
const gatherMs = 50;

export interface HostFacts {
  labels: Record<string, string>;
  version: string;
  /** How many have not ended here. */
  migrations: () => number;
}

export class Heartbeat {
  private readonly startedAt = new Date().toISOString();
  private timer: NodeJS.Timeout | undefined;
  private soon: NodeJS.Timeout | undefined;

  constructor(
    private readonly host: DriverHost,
    private readonly facts: HostFacts,
  ) {}

  start(bus: Bus): void {
    const beat = (): void => {
      this.host.writeBehind();
      if (!bus.nc.isClosed()) bus.nc.publish(statSubject(this.host.name), encode(this.status(), 'json'));
    };
    this.host.onChange = () => {
      this.soon ??= setTimeout(() => {
        this.soon = undefined;
        beat();
      }, gatherMs);
    };
    this.timer = setInterval(beat, beatMs);
    bus.onReconnect(beat);
    beat();
  }

  stop(): void {
    clearInterval(this.timer);
    clearTimeout(this.soon);
    this.host.onChange = () => undefined;
  }

  readonly status = (): HostStatus => {
    const { host, facts } = this;
    const { totalKiB, freeKiB } = hostMemory();
    const actors = host.all();
    const migrations = facts.migrations();
    return {
      host: host.name,
      hostUuid: host.uuid,
      driver: host.driver,
      virtTypes: [...host.implementation.virtTypes],
      arches: [...host.implementation.arches],
      nativeFormats: [...(host.implementation.facets.native?.formats ?? [])],
      facets: Object.keys(host.implementation.facets).sort(),
      labels: facts.labels,
      version: facts.version,
      hypervisorVersion: host.implementation.hypervisorVersion,
      startedAt: this.startedAt,
      time: new Date().toISOString(),
      cpus: cpus().length,
      load: loadavg(),
      memoryKiB: totalKiB,
      freeMemoryKiB: freeKiB,
      domains: actors.length,
      active: actors.filter((actor) => actor.active).length,
      ...(migrations > 0 && { migrations }),
      inventory: host.inventory,
      journal: host.journalOnDisk.pending.length,
    };
  };
}
