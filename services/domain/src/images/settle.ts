/**
 * Bringing a host's leases into line with what its drivers say: when a domain was defined, changed or has stopped, when a
 * driver comes back, when the fleet's leases were lost. Each copy of the service does it; to be told twice changes nothing.
 *
 * A lease goes only on the driver's word at a later revision. A host that does not answer keeps what it holds.
 */
import {
  driverStorage,
  isActive,
  storageLeases,
  storageSettle,
  VirtError,
  type DomainEvent,
  type Inventory,
} from '@virtbus/shared';
import { callDriver, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import type { At } from '../hosts';
import { inParallel } from '../registry/reconciler';
import type { FleetLeases } from './fleet-leases';

/** Events after which a domain may use other images than before; what starts was prepared. */
const telling: Readonly<Record<string, readonly string[]>> = {
  lifecycle: ['defined', 'undefined', 'stopped'],
  device: ['added', 'removed', 'updated'],
  config: ['device', 'autostart', 'managed-save'],
};

export class Settler {
  /** Domains that are being settled; true when they have changed meanwhile. */
  private readonly busy = new Map<string, boolean>();

  constructor(
    private readonly bus: Bus,
    private readonly leases: FleetLeases,
    private readonly log: Log,
  ) {}

  happened({ class: kind, type, domain }: DomainEvent): void {
    if (!telling[kind]?.includes(type)) return;
    void this.settle(domain, domain.uuid);
  }

  /** A driver has told all that lives with it: leases of what does not run are looked at. */
  async inventoried({ status, domains }: Inventory): Promise<void> {
    const running = new Set(domains.filter(({ state }) => isActive(state)).map(({ uuid }) => uuid));
    try {
      const held = await this.heldAt(status.host);
      const idle = held.filter(({ driver, domain }) => driver === status.driver && !running.has(domain));
      await inParallel([...new Set(idle.map(({ domain }) => domain))], (uuid) => this.settle(status, uuid));
    } catch (error) {
      this.trouble(error, { host: status.host });
    }
  }

  /** The fleet's leases were lost: write them again from the books of the hosts. */
  async restore(hosts: readonly string[]): Promise<void> {
    await inParallel(hosts, async (host) => {
      try {
        for (const { leases, revision: _revision, taken: _taken, ...holder } of await this.heldAt(host)) {
          for (const { lease, holder: other } of await this.leases.take(holder, leases)) {
            this.log.error({ path: lease.path, domains: [holder.name, other.name] }, 'two domains hold one image');
          }
        }
      } catch (error) {
        this.trouble(error, { host });
      }
    });
  }

  private async heldAt(host: string) {
    return (await callDriver(this.bus, { host, driver: 'storage' }, storageLeases, {})).holders;
  }

  private async settle(at: At, uuid: string): Promise<void> {
    if (this.busy.has(uuid)) return void this.busy.set(uuid, true);
    this.busy.set(uuid, false);
    try {
      do {
        this.busy.set(uuid, false);
        await this.settleOnce(at, uuid);
      } while (this.busy.get(uuid));
    } catch (error) {
      this.trouble(error, { domain: uuid });
    } finally {
      this.busy.delete(uuid);
    }
  }

  private async settleOnce({ host, driver }: At, uuid: string): Promise<void> {
    const context = { domain: uuid };
    const {
      known,
      since: _since,
      active: _active,
      needs: _needs,
      ...said
    } = await callDriver(this.bus, { host, driver }, driverStorage, {}, context);
    if (!known) return;
    const request = { driver, ...said };
    const { released } = await callDriver(this.bus, { host, driver: 'storage' }, storageSettle, request, context);
    await this.leases.drop(uuid, released);
  }

  private trouble(error: unknown, of: Record<string, string>): void {
    this.log.debug({ ...of, reason: VirtError.from(error).message }, 'leases stay as they are for now');
  }
}
