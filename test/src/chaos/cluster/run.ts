/** One run: a steady load, everything broken in turn, and what must be true afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import { listDomains } from '@virtbus/shared';
import { call, lastSequence } from '@virtbus/shared/bus';
import { eventually } from '@virtbus/testkit';
import { breaksOf, untilReplicated } from './breaks';
import { follow, readLog, type History } from './history';
import { Load } from './load';
import { ClusterStand, loadedHosts } from './stand';

export interface ClusterPlan {
  /** How long things are broken, milliseconds. */
  lastsMs: number;
  commandsPerSecond: number;
  /** Of the simulated guests by themselves; commands have theirs besides. */
  eventsPerSecond: number;
  /** How long one host is cut off, milliseconds. */
  partedMs: number;
  tell: (line: string) => void;
  stopped: () => boolean;
}

export interface ClusterResult {
  faults: string[];
  /** What was broken, in order. */
  broken: string[];
  commands: number;
  /** Commands that had to be sent more than once. */
  repeated: number;
  events: number;
  /** From the first sending to the answer, milliseconds, rising. */
  latencies: number[];
}

/** For what is away when the load ends to come back and go on telling, milliseconds. */
const standstillMs = 60_000;

export async function playCluster(plan: ClusterPlan): Promise<ClusterResult> {
  await using stand = await ClusterStand.start(plan.eventsPerSecond);
  const { stack, bus } = stand;
  await untilReplicated(bus);
  const from = (await lastSequence(bus)) + 1;
  const follower = follow(await stack.connect('reader'), from);
  await using _following = { [Symbol.asyncDispose]: follower.stop };
  const load = new Load(await stack.connect('operator'), stand.domains, plan.commandsPerSecond);
  load.start();
  const broken = await breakAll(stand, plan);
  plan.tell('nothing is broken any more; waiting for the last answers');
  await load.stop();
  await stack.hostsOnline(stack.drivers.size);
  await everythingTold(stand, follower.history);
  await follower.stop();
  const log = await readLog(bus, from);
  const faults = [
    ...load.faults,
    ...follower.history.faults,
    ...log.faults,
    ...log.missing(load.given),
    ...(await stand.harm()),
  ];
  return {
    faults,
    broken,
    commands: load.given.length,
    repeated: load.given.filter(({ attempts }) => attempts > 1).length,
    events: log.events,
    latencies: load.given.map(({ tookMs }) => tookMs).sort((a, b) => a - b),
  };
}

/** In turn and again from the first, until the time is over; one host is cut off meanwhile. */
async function breakAll(stand: ClusterStand, plan: ClusterPlan): Promise<string[]> {
  const broken: string[] = [];
  const until = performance.now() + plan.lastsMs;
  const isOver = (): boolean => performance.now() > until || plan.stopped();
  const began = (name: string): void => {
    broken.push(name);
    plan.tell(name);
  };
  const parted = (async () => {
    await sleep(plan.lastsMs / 10);
    began(`${loadedHosts.at(-1)} cut off for ${plan.partedMs / 1_000} s`);
    await stand.part(plan.partedMs);
    plan.tell(`${loadedHosts.at(-1)} is back`);
  })();
  const breaks = breaksOf(stand.stack, loadedHosts.at(-1)!);
  for (let turn = 0; !isOver(); turn++) {
    const one = breaks[turn % breaks.length]!;
    began(one.name);
    await one.run();
    await untilReplicated(stand.bus);
  }
  await parted;
  return broken;
}

/**
 * What hosts say of their domains now is in the log, and the follower has it. However far it is behind on a busy machine:
 * it comes nearer.
 */
async function everythingTold({ bus, domains: loaded }: ClusterStand, follower: History): Promise<void> {
  const known = new Set(loaded.map(({ uuid }) => uuid));
  const domains = (await call(bus, listDomains, { limit: 10_000 })).domains.filter(({ uuid }) => known.has(uuid));
  const lag = (history: History): number => history.lag(domains);
  for (let before = Infinity; lag(follower) > 0;) {
    before = lag(follower);
    await eventually(() => lag(follower) < before, true, { timeoutMs: standstillMs, intervalMs: 250 }).catch(
      async () => {
        const stored = lag(await readLog(bus, 1));
        throw new Error(
          `the follower stands still ${before} events behind the hosts; the log is ${stored} behind them`,
        );
      },
    );
  }
}
