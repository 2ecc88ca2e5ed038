/** One copy of the domain service on a connection: everything made and joined, started in order, drained at the end. */
import { atWorkSubject, startDomain, type Inventory } from '@virtbus/shared';
import { AtWork, serve } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import type { RunningService, ServiceContext } from '@virtbus/shared/service';
import { Cordons } from './cordons';
import { EventFollower } from './events';
import { hostAsker, type Fleet } from './fleet';
import { FleetWatch } from './fleet-watch';
import { endpointsOf } from './handlers';
import { cordonEndpoints } from './handlers/cordon';
import { handoverEndpoints } from './handover';
import { Hosts } from './hosts';
import { Awaited } from './images/awaited';
import { FleetLeases } from './images/fleet-leases';
import { Settler } from './images/settle';
import { Keeper } from './keeper';
import { Knowledge } from './knowledge';
import { measure } from './measure';
import { Placement } from './placement';
import { Projection } from './projection';
import { Queue } from './queue';
import { Rebuild } from './rebuild';
import { Claims } from './registry/claims';
import { Reconciler } from './registry/reconciler';
import { Registry } from './registry/registry';
import type { domainSettings } from './settings';
import { tellBeliefs } from './verify/copies';

/** Between attempts to reach JetStream at the start, milliseconds. */
const retryMs = 3_000;

export async function startDomainService({
  values,
  version,
  log,
  connect,
  readiness,
}: ServiceContext<typeof domainSettings>): Promise<RunningService> {
  const bus = await connect();
  const hosts = new Hosts();
  const projection = new Projection();
  const registry = new Registry(bus, {
    replicas: values.jetstreamReplicas,
    eventsMaxAgeMs: values.eventsMaxAgeDays * 86_400_000,
    eventsMaxBytes: values.eventsMaxMib * 1_048_576,
  });
  const knowledge = new Knowledge(bus, projection, registry, log);
  const askHost = hostAsker(bus);
  const claims = new Claims(registry, projection, askHost);
  const placement = new Placement();
  const startedAt = performance.now();
  const leases = new FleetLeases(registry, bus);
  const settler = new Settler(bus, leases, log);
  const known = { projection, hosts, registry, leases, knowledge };
  const fleet: Fleet = { bus, log, ...known, placement, claims, settler, startedAt };
  const reconciler = new Reconciler(registry, projection, knowledge, askHost, log);
  const endpoints = endpointsOf(fleet);
  const awaited = new Awaited(fleet, endpoints.get(startDomain)!);
  const onInventory = (inventory: Inventory): void => {
    void settler.inventoried(inventory);
    awaited.take(inventory);
  };
  const watch = new FleetWatch(bus, hosts, projection, registry, reconciler, onInventory, log);
  const events = new EventFollower(bus, projection, knowledge, settler, () => keeper.doubt(), log);
  const cordons = new Cordons(registry, hosts, log);
  const rebuild = new Rebuild(fleet, watch, reconciler, events, cordons);
  const keeper = new Keeper(bus, registry, () => rebuild.again(), log);

  readiness.needs('jetstream', () => keeper.trouble);
  measure(fleet);

  knowledge.listen();
  watch.listen();
  await untilReachable(async () => {
    await keeper.begin();
    await rebuild.first();
  }, log);
  const atWork = new AtWork(bus, atWorkSubject.domain);
  const service = await serve(
    bus,
    { name: 'virtbus-domain', version, description: 'domains of the fleet and where they live', queue: 'domain' },
    [
      ...[...endpoints.values()].map((each) => atWork.through(each)),
      ...handoverEndpoints(fleet),
      ...cordonEndpoints(fleet, cordons),
    ],
    log,
  );
  void cordons.follow();
  tellBeliefs(bus, projection);
  const queue = new Queue(fleet, endpoints);
  queue.start();
  settler.restore(hosts.names()).catch((err: unknown) => {
    log.warn({ err }, 'the leases of the fleet could not be compared with the books of the hosts');
  });
  log.info({ domains: projection.domains.length, hosts: hosts.list().length }, 'domain service ready');
  return {
    stop: async () => {
      keeper.stop();
      cordons.stop();
      events.stop();
      awaited.stop();
      await Promise.all([service.stop(), queue.stop()]);
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
