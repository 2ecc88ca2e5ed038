/** What a driver tells Prometheus of its host and guests. */
import { cpus, loadavg } from 'node:os';
import { meter, metrics, tally } from '@virtbus/shared/metrics';
import type { DriverHost } from './host';
import type { Guest } from './guest';
import { hostMemory } from './memory';

export function measure<G extends Guest>(host: DriverHost<G>): void {
  meter.gauge(metrics.guests, () => tally(host.all(), ({ record: { state } }) => ({ state })));
  meter.gauge(metrics.domainJobs, () => host.all().filter(({ job }) => job !== undefined).length);
  meter.gauge(metrics.cpus, () => cpus().length);
  meter.gauge(metrics.load, () => loadavg()[0] ?? 0);
  meter.gauge(metrics.memory, () => hostMemory().totalKiB * 1_024);
  meter.gauge(metrics.freeMemory, () => hostMemory().freeKiB * 1_024);
}
