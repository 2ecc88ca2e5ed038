/** The short version of `npm run chaos -- cluster`: two minutes of a steady load on a cluster that is broken piece by piece. */
import { needsProgram } from '@virtbus/testkit';
import { playCluster } from '../chaos/cluster/run';

needsProgram('nats-server').test(
  'a cluster that is broken piece by piece loses no command, doubles none, loses no event and harms no guest',
  async () => {
    const { faults, broken, commands, events } = await playCluster({
      lastsMs: 120_000,
      commandsPerSecond: 50,
      eventsPerSecond: 150,
      partedMs: 40_000,
      tell: () => undefined,
      stopped: () => false,
    });
    expect(faults).toEqual([]);
    expect(broken).toContain('nats-server 1 killed');
    expect(broken).toContain('t3 cut off for 40 s');
    expect(commands).toBeGreaterThan(0);
    expect(events).toBeGreaterThan(commands);
  },
  900_000,
);
