/** Everything that is broken in a run, one after the other: each server, each copy and each service of a host, killed and paused. */
import { setTimeout as sleep } from 'node:timers/promises';
import { streams } from '@virtbus/shared';
import type { Bus } from '@virtbus/shared/bus';
import { eventually, type Stack, type TestProcess } from '@virtbus/testkit';

export interface Break {
  name: string;
  run(): Promise<void>;
}

/** How long what was killed stays away, and what was stopped stays stopped, milliseconds. */
const awayMs = 1_500;
const pausedMs = 4_000;

/** @param spared a host that is left alone */
export function breaksOf(stack: Stack, spared: string): Break[] {
  const breaks: Break[] = [];
  const pause = (name: string, process: () => TestProcess | undefined): void => {
    breaks.push({
      name: `${name} paused`,
      run: async () => {
        const paused = process();
        paused?.kill('SIGSTOP');
        await sleep(pausedMs);
        paused?.kill('SIGCONT');
      },
    });
  };
  const kill = (name: string, run: () => Promise<void>): void => void breaks.push({ name: `${name} killed`, run });
  const away = (): Promise<void> => sleep(awayMs);

  for (const [n, server] of stack.servers.entries()) {
    const name = `nats-server ${n + 1}`;
    kill(name, async () => {
      await server.kill9();
      await away();
      await server.restart();
    });
    pause(name, () => server.process);
  }
  for (const n of stack.domainServices.keys()) {
    kill(`domain service ${n + 1}`, () => stack.restartDomainService(n, away));
    pause(`domain service ${n + 1}`, () => stack.domainServices[n]);
  }
  for (const n of stack.migrationServices.keys()) {
    kill(`migration service ${n + 1}`, () => stack.restartMigrationService(n, away));
    pause(`migration service ${n + 1}`, () => stack.migrationServices[n]);
  }
  for (const host of stack.drivers.keys()) {
    if (host === spared) continue;
    kill(`driver of ${host}`, () => stack.restartDriver(host, away));
    pause(`driver of ${host}`, () => stack.drivers.get(host));
  }
  for (const host of stack.storages.keys()) {
    kill(`storage service of ${host}`, () => stack.restartStorage(host, away));
    pause(`storage service of ${host}`, () => stack.storages.get(host));
  }
  return breaks;
}

/** Until every server has all of the log: the next one that is broken is then not the second. */
export async function untilReplicated(bus: Bus): Promise<void> {
  await eventually(
    async () => {
      const jsm = await bus.jsm();
      const { cluster } = await jsm.streams.info(streams.events);
      return (
        cluster?.leader !== undefined && (cluster.replicas ?? []).every(({ current, offline }) => current && !offline)
      );
    },
    true,
    { timeoutMs: 120_000, intervalMs: 500 },
  );
}
