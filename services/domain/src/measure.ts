/** What this copy tells Prometheus of the fleet. */
import { streams } from '@virtbus/shared';
import { meter, metrics, tally } from '@virtbus/shared/metrics';
import type { Fleet } from './fleet';

export function measure({ bus, projection, hosts }: Pick<Fleet, 'bus' | 'projection' | 'hosts'>): void {
  meter.gauge(metrics.domains, () => tally(projection.domains, ({ state }) => ({ state })));
  meter.gauge(metrics.hosts, () =>
    tally(hosts.list(), ({ driver, online }) => ({ driver, state: online ? 'online' : 'offline' })),
  );
  meter.gauge(metrics.queueDepth, async () => {
    const jsm = await bus.jsm();
    return (await jsm.streams.info(streams.queue)).state.messages;
  });
}
