/** One copy of the domain service on a connection: everything made and joined, started in order, drained at the end. */
import { startDomain, type Inventory } from '@virtbus/shared';
import { serve, type Bus, type Endpoint, type JetStreamOptions } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { EventFollower } from './events';
import { hostAsker, type Fleet } from './fleet';
import { FleetWatch } from './fleet-watch';
import { endpointsOf } from './handlers';
import { handoverEndpoints } from './handover';
import { Hosts } from './hosts';
import { Awaited } from './images/awaited';
import { FleetLeases } from './images/fleet-leases';
import { Settler } from './images/settle';
import { Keeper } from './keeper';
import { Knowledge } from './knowledge';
import { Placement } from './placement';
import { Projection } from './projection';
import { Queue } from './queue';
import { Rebuild } from './rebuild';
import { Claims } from './registry/claims';
import { Reconciler } from './registry/reconciler';
import { Registry } from './registry/registry';

export interface DomainService {
  /** Finish what was begun; take no more. */
  stop(): Promise<void>;
}

/** How long the calls that are being answered may take after a stop was asked for, milliseconds. */
const drainMs = 10_000;
/** Between attempts to reach JetStream at the start, milliseconds. */
const retryMs = 3_000;

export async function startDomainService(
  bus: Bus,
  version: string,
  jetStream: JetStreamOptions,
  log: Log,
): Promise<DomainService> {
  const hosts = new Hosts();
  const projection = new Projection();
  const registry = new Registry(bus, jetStream);
  const knowledge = new Knowledge(bus, projection, registry, log);
  const askHost = hostAsker(bus);
  const claims = new Claims(registry, projection, askHost);
  const placement = new Placement();
  const startedAt = performance.now();
  const leases = new FleetLeases(registry);
  const fleet: Fleet = { bus, log, projection, hosts, placement, registry, claims, leases, knowledge, startedAt };
  const reconciler = new Reconciler(registry, projection, knowledge, askHost, log);
  const settler = new Settler(bus, leases, log);
  const endpoints = endpointsOf(fleet);
  const awaited = new Awaited(fleet, endpoints.get(startDomain)!);
  const onInventory = (inventory: Inventory): void => {
    void settler.inventoried(inventory);
    awaited.take(inventory);
  };
  const watch = new FleetWatch(bus, hosts, projection, registry, reconciler, onInventory, log);
  const events = new EventFollower(bus, projection, knowledge, settler, log);
  const rebuild = new Rebuild(fleet, watch, reconciler, events, settler);
  const keeper = new Keeper(bus, registry, () => rebuild.again(), log);

  knowledge.listen();
  watch.listen();
  await untilReachable(async () => {
    await keeper.begin();
    await rebuild.first();
  }, log);
  const underWay = new UnderWay();
  const service = await serve(
    bus,
    { name: 'virtbus-domain', version, description: 'domains of the fleet and where they live', queue: 'domain' },
    [...endpoints.values(), ...handoverEndpoints(fleet)].map((endpoint) => underWay.counting(endpoint)),
    log,
  );
  const queue = new Queue(fleet, endpoints);
  queue.start();
  log.info({ domains: projection.domains.length, hosts: hosts.list().length }, 'domain service ready');
  return {
    stop: async () => {
      keeper.stop();
      events.stop();
      awaited.stop();
      const drained = Promise.all([service.stop(), queue.stop()]).then(() => underWay.none());
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, drainMs).unref())]);
    },
  };
}

async function untilReachable(attempt: () => Promise<void>, log: Log): Promise<void> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn({ reason }, 'JetStream cannot be reached (is the NATS server run with it?); trying again');
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
}

/** The calls that are being answered. */
class UnderWay {
  private count = 0;
  private waiting: (() => void)[] = [];

  counting(endpoint: Endpoint): Endpoint {
    return {
      ...endpoint,
      handler: async (request, call) => {
        this.count++;
        try {
          return await endpoint.handler(request, call);
        } finally {
          // After the answer has been written: it is, in the turn that follows.
          setImmediate(() => this.done());
        }
      },
    };
  }

  none(): Promise<void> {
    return this.count === 0 ? Promise.resolve() : new Promise((resolve) => this.waiting.push(resolve));
  }

  private done(): void {
    if (--this.count > 0) return;
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}
