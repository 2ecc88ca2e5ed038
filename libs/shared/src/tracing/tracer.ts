/**
 * Spans, for whoever collects them: one a call on its way out, one where it is served, one a step of the hypervisor.
 *
 * Where no collector is configured there are none: the work is done as it is, and a `traceparent` that came with a call is
 * passed on unchanged. OpenTelemetry is loaded only where the standard variables name an endpoint.
 */
import { createRequire } from 'node:module';
import type * as OpenTelemetry from './open-telemetry';
import { currentScope, inSpan, noteStep } from './scope';

export type SpanKind = 'server' | 'client' | 'producer' | 'consumer' | 'internal';

export interface SpanOptions {
  kind: SpanKind;
  /** `traceparent` of the span above; that of the present scope when left out. */
  parent?: string | undefined;
  attributes?: Record<string, string | number | undefined>;
}

export interface OpenSpan {
  traceparent: string;
  /** @param failure what was thrown, if anything was */
  end(failure?: unknown): void;
}

export interface Spans {
  open(name: string, options: SpanOptions): OpenSpan;
  /** Send what has ended. */
  flush(): Promise<void>;
}

const load = createRequire(__filename);
let spans: Spans | undefined;
/** Above everything that has no parent in this process: the variable TRACEPARENT of a command line. */
let ambient: string | undefined;

/** What the process is called in a trace. */
export interface Who {
  service: string;
  version: string;
  host?: string | undefined;
  /** How long a collector may take for what it is sent, retries included, milliseconds; OpenTelemetry's own when left out. */
  patienceMs?: number;
}

/** Trace from now on if the environment names a collector (OTEL_EXPORTER_OTLP_ENDPOINT and its like). */
export function traceIfConfigured(who: Who, env: NodeJS.ProcessEnv = process.env): void {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (!endpoint || env.OTEL_SDK_DISABLED === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return;
  spans = (load('./open-telemetry') as typeof OpenTelemetry).openTelemetry(who);
}

/** @param traceparent of whoever started this process */
export function continueTrace(traceparent: string | undefined): void {
  ambient = traceparent;
}

/** Sends what has ended; never fails, and takes no longer than a second. @returns whether it was taken, if there was anything */
export async function flushTraces(): Promise<boolean> {
  if (!spans) return true;
  const sent = spans.flush().then(
    () => true,
    () => false,
  );
  return Promise.race([sent, new Promise<false>((late) => setTimeout(late, 1_000, false).unref())]);
}

/** Do the work in a span. @param work gets the `traceparent` to pass on: of the span, or what came from above */
export async function span<T>(
  name: string,
  options: SpanOptions,
  work: (traceparent: string | undefined) => Promise<T>,
): Promise<T> {
  const parent = options.parent ?? currentScope()?.traceparent ?? ambient;
  if (!spans) return work(parent);
  const opened = spans.open(name, { ...options, parent });
  try {
    const result = await inSpan(opened.traceparent, () => work(opened.traceparent));
    opened.end();
    return result;
  } catch (thrown) {
    opened.end(thrown);
    throw thrown;
  }
}

/** A step of a command: remembered with it, and a span of its trace; what belongs to no command is not told. */
export function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  noteStep(name);
  return spans && currentScope()?.traceparent ? span(name, { kind: 'internal' }, work) : work();
}
