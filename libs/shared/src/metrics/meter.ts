/**
 * Where the code tells what it counts and how long things took. Until somebody wants to know, nothing is kept: the
 * library behind it is loaded by `prometheus.ts`, and only in a process that has an HTTP endpoint.
 */
import type { Metric } from './declarations';

export type Labels<M> =
  M extends Metric<infer L> ? ([L] extends [never] ? Record<string, never> : Record<L, string>) : never;

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** Read when somebody asks. */
export type Reading = () => readonly Sample[] | number | Promise<readonly Sample[] | number>;

export interface MetricSink {
  add(metric: Metric, labels: Record<string, string>, by: number): void;
  observe(metric: Metric, labels: Record<string, string>, value: number): void;
}

class Meter {
  private sink: MetricSink | undefined;
  private readonly readings = new Map<Metric, Reading>();

  /** Tell all that is counted from now on to it. */
  tellTo(sink: MetricSink): void {
    this.sink = sink;
  }

  count<M extends Metric>(counter: M, labels: Labels<M>, by = 1): void {
    this.sink?.add(counter, labels, by);
  }

  time<M extends Metric>(histogram: M, labels: Labels<M>, seconds: number): void {
    this.sink?.observe(histogram, labels, seconds);
  }

  /** How a gauge is read; the last reader given counts. */
  gauge(gauge: Metric, reading: Reading): void {
    this.readings.set(gauge, reading);
  }

  /** What a gauge shows now; nothing when nobody has said how to read it. */
  async read(gauge: Metric): Promise<readonly Sample[]> {
    const value = (await this.readings.get(gauge)?.()) ?? [];
    return typeof value === 'number' ? [{ labels: {}, value }] : value;
  }
}

/** Of this process. */
export const meter = new Meter();

/** How many things there are of each kind, as the samples of a gauge. */
export function tally<T>(things: Iterable<T>, labelsOf: (thing: T) => Record<string, string>): Sample[] {
  const counts = new Map<string, Sample>();
  for (const thing of things) {
    const labels = labelsOf(thing);
    const key = JSON.stringify(labels);
    const sample = counts.get(key);
    if (sample) sample.value++;
    else counts.set(key, { labels, value: 1 });
  }
  return [...counts.values()];
}
