/**
 * `npm run chaos -- cluster [--minutes N] [--commands N] [--events N] [--parted SECONDS]`
 *
 * A cluster of three servers and everything on it is broken piece by piece under a steady load. Exit code 1 when a command
 * that was acknowledged is lost or was applied twice, an event is lost or out of order, or a guest has come to harm.
 */
import { numberOf, stopSignals, type Options } from '../options';
import { playCluster, type ClusterResult } from './run';

export async function cluster(options: Options): Promise<number> {
  const minutes = numberOf('minutes', options.minutes, 10);
  const commandsPerSecond = numberOf('commands', options.commands, 50);
  const eventsPerSecond = numberOf('events', options.events, 200);
  const parted = numberOf('parted', options.parted, 120);
  console.log(`${commandsPerSecond} commands/s and ${eventsPerSecond} events/s for ${minutes} minutes`);
  const began = performance.now();
  const result = await playCluster({
    lastsMs: minutes * 60_000,
    commandsPerSecond,
    eventsPerSecond: Math.max(0, eventsPerSecond - commandsPerSecond),
    partedMs: parted * 1_000,
    tell: (line) => console.log(`${((performance.now() - began) / 1_000).toFixed(0).padStart(5)} s  ${line}`),
    stopped: stopSignals(),
  });
  for (const line of clusterReport(result)) console.log(line);
  return result.faults.length === 0 ? 0 : 1;
}

/** The figures of a run, and what was wrong. */
export function clusterReport({ faults, broken, commands, repeated, events, latencies }: ClusterResult): string[] {
  const quantile = (q: number): string => `${Math.round(latencies[Math.floor((latencies.length - 1) * q)] ?? 0)} ms`;
  return [
    ...faults.slice(0, 50).map((fault) => `    ${fault}`),
    `${broken.length} breaks; ${commands} commands acknowledged, ${repeated} of them sent again; ${events} events`,
    `answers: p50 ${quantile(0.5)}, p99 ${quantile(0.99)}, longest ${quantile(1)}`,
    faults.length === 0 ? 'nothing was lost, doubled or harmed' : `${faults.length} faults`,
  ];
}
