/** The one place that knows prom-client: what is declared, as Prometheus reads it. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { durationBuckets, metrics, type Metric } from './declarations';
import { meter } from './meter';

export interface Exposition {
  contentType: string;
  text(): Promise<string>;
}

/**
 * Count from now on, in this process.
 * @param common labels of every sample
 */
export function exposePrometheus(common: Record<string, string>): Exposition {
  const registry = new Registry();
  registry.setDefaultLabels(common);
  collectDefaultMetrics({ register: registry });
  const counters = new Map<Metric, Counter>();
  const histograms = new Map<Metric, Histogram>();
  for (const metric of Object.values<Metric>(metrics)) {
    const { name, help, kind } = metric;
    const base = { name, help, labelNames: [...metric.labels], registers: [registry] };
    if (kind === 'counter') counters.set(metric, new Counter(base));
    else if (kind === 'histogram') histograms.set(metric, new Histogram({ ...base, buckets: [...durationBuckets] }));
    else readWhenAsked(metric, base);
  }
  meter.tellTo({
    add: (metric, labels, by) => counters.get(metric)?.inc(labels, by),
    observe: (metric, labels, value) => histograms.get(metric)?.observe(labels, value),
  });
  return { contentType: registry.contentType, text: () => registry.metrics() };
}

/** A reading that fails costs its own gauge alone: the others are wanted most when something is wrong. */
function readWhenAsked(
  metric: Metric,
  base: { name: string; help: string; labelNames: string[]; registers: Registry[] },
): void {
  new Gauge({
    ...base,
    async collect() {
      this.reset();
      const samples = await meter.read(metric).catch(() => []);
      if (metric.labels.length === 0 && samples.length === 0) this.remove();
      for (const { labels, value } of samples) this.set(labels, value);
    },
  });
}
