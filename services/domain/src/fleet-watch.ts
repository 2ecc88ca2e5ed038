/**
 * Listening to the hosts' heartbeats and fetching inventories when there is reason to: a driver is new, came back or was
 * restarted; its counts disagree with ours at two heartbeats running; or it changed and the last look is a minute old.
 * Events tell every single change; this finds what they could not tell.
 */
import { driverInventory, HostStatus, statSubject, VirtError, type Inventory } from '@virtbus/shared';
import { callDriver, decode, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { hostKey, type At, type Hosts } from './hosts';
import type { Projection } from './projection';
import type { Reconciler } from './registry/reconciler';
import type { Registry } from './registry/registry';

/** A changed inventory is looked at again after this, even when all counts agree, milliseconds. */
const lookAgainMs = 60_000;

interface Looked {
  at: number;
  inventory: number;
  /** Heartbeats in a row whose counts disagree with ours. */
  disagreeing: number;
  fetching: Promise<boolean> | undefined;
}

export class FleetWatch {
  private readonly looked = new Map<string, Looked>();

  constructor(
    private readonly bus: Bus,
    private readonly hosts: Hosts,
    private readonly projection: Projection,
    private readonly registry: Registry,
    private readonly reconciler: Reconciler,
    /** What else an inventory is good for. */
    private readonly onInventory: (inventory: Inventory) => void,
    private readonly log: Log,
  ) {}

  listen(): void {
    this.bus.nc.subscribe(statSubject('*'), {
      callback: (error, message) => {
        if (!error) this.heartbeat(message.data, message.subject);
      },
    });
  }

  /**
   * Ask one driver what lives with it, and take that in. Resolves to false when it does not answer.
   * @param timeoutMs for how long its answer is waited for
   */
  look(at: At, timeoutMs: number = driverInventory.timeoutMs): Promise<boolean> {
    const looked = this.lookedAt(at);
    looked.fetching ??= this.fetch(at, looked, timeoutMs).finally(() => (looked.fetching = undefined));
    return looked.fetching;
  }

  private async fetch(at: At, looked: Looked, timeoutMs: number): Promise<boolean> {
    const arrived = this.reconciler.expect();
    try {
      const inventory = await callDriver(this.bus, at, driverInventory, {}, { timeoutMs });
      this.hosts.hear(inventory.status);
      Object.assign(looked, { at: performance.now(), inventory: inventory.status.inventory, disagreeing: 0 });
      const taken = this.reconciler.take(inventory);
      arrived();
      await taken;
      this.onInventory(inventory);
      return true;
    } catch (thrown) {
      const { code, message } = VirtError.from(thrown);
      this.log.debug({ ...pick(at), code, reason: message }, 'no inventory');
      return false;
    } finally {
      arrived();
    }
  }

  private heartbeat(body: Uint8Array, subject: string): void {
    let status: HostStatus;
    try {
      status = HostStatus.parse(decode(body));
    } catch (err) {
      this.log.warn({ err }, 'a heartbeat cannot be read');
      return;
    }
    // The server lets a host publish on its own subject only.
    if (subject !== statSubject(status.host)) {
      this.log.warn({ subject, host: status.host }, 'a heartbeat in the name of another host');
      return;
    }
    const heard = this.hosts.hear(status);
    if (heard !== 'steady') this.log.info({ ...pick(status), heard }, 'host online');
    if (heard !== 'steady' || this.isDue(status)) void this.look(status);
    this.registry.noteHost(status).catch((err: unknown) => this.log.debug({ err }, 'host was not noted'));
  }

  private isDue(status: HostStatus): boolean {
    const looked = this.lookedAt(status);
    const ours = this.projection.countOf(status.host, status.driver);
    const agrees = ours.domains === status.domains && ours.active === status.active;
    looked.disagreeing = agrees ? 0 : looked.disagreeing + 1;
    if (looked.inventory !== status.inventory && looked.disagreeing >= 2) return true;
    const age = performance.now() - looked.at;
    return age > lookAgainMs && (looked.inventory !== status.inventory || !agrees);
  }

  private lookedAt(at: At): Looked {
    const key = hostKey(at);
    const known = this.looked.get(key);
    if (known) return known;
    const fresh: Looked = { at: -Infinity, inventory: -1, disagreeing: 0, fetching: undefined };
    this.looked.set(key, fresh);
    return fresh;
  }
}

const pick = ({ host, driver }: At): At => ({ host, driver });
