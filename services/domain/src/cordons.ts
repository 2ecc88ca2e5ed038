/**
 * What people say of hosts: that nothing new is placed on one (a cordon), or that one is gone for good. Kept in the
 * registry, so that it outlives us, and followed, so that every copy of this service goes by it. A registry that was wiped
 * is told again of cordons by whoever still knows.
 */
import { Conflict } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import type { Hosts } from './hosts';
import type { Registry } from './registry/registry';

/** Between attempts to follow the registry, milliseconds. */
const retryMs = 3_000;

export class Cordons {
  private stopped = false;
  private changes: { stop(): void } | undefined;

  constructor(
    private readonly registry: Registry,
    private readonly hosts: Hosts,
    private readonly log: Log,
  ) {}

  /** What the registry has now. */
  async read(): Promise<void> {
    const entries = await this.registry.on(({ cordons }) => cordons.entries());
    for (const { key } of entries) this.hosts.cordon(key, true);
  }

  /** Every change from now on. */
  async follow(): Promise<void> {
    while (!this.stopped && !this.registry.bus.nc.isClosed()) {
      try {
        const changes = await this.registry.on(({ cordons }) => cordons.watch());
        this.changes = changes;
        for await (const { key, value, deleted } of changes) {
          // The keys of drivers, `host.driver`, lie in the same bucket.
          const [host, driver] = key.split('.') as [string, string | undefined];
          if (driver === undefined) this.hosts.cordon(host, value !== undefined);
          else if (deleted) this.hosts.forget({ host, driver });
        }
      } catch (err) {
        this.log.debug({ err }, 'cordons of hosts cannot be followed now');
      }
      await new Promise((resolve) => setTimeout(resolve, retryMs).unref());
    }
  }

  stop(): void {
    this.stopped = true;
  }

  /** Throws `HOST_NOT_FOUND` for a host that nobody has heard of. */
  async set(host: string, cordoned: boolean): Promise<void> {
    this.hosts.driversOf(host);
    for (;;) {
      try {
        await this.write(host, cordoned);
        this.hosts.cordon(host, cordoned);
        return;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
  }

  /** The registry was wiped. */
  async restore(): Promise<void> {
    this.changes?.stop();
    for (const host of this.hosts.cordoned()) await this.set(host, true);
  }

  private write(host: string, cordoned: boolean): Promise<unknown> {
    return this.registry.on(async ({ cordons }) => {
      const there = await cordons.get(host);
      if (cordoned && !there) await cordons.create(host, { cordoned: true, since: Date.now() });
      if (!cordoned && there) await cordons.delete(host, there.revision);
    });
  }
}
