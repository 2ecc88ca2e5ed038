/** The one place that knows OpenTelemetry: spans, sent over OTLP/HTTP to where the standard variables say. */
import { context, SpanKind, SpanStatusCode, trace, type Context } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { isVirtError } from '../errors';
import type { Spans, Who } from './tracer';

const kinds = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
} as const;

export function openTelemetry({ service, version, host, patienceMs }: Who): Spans {
  const resource = defaultResource().merge(
    resourceFromAttributes({
      'service.name': process.env.OTEL_SERVICE_NAME || `virtbus-${service}`,
      'service.version': version,
      ...(host === undefined ? {} : { 'host.name': host }),
    }),
  );
  const processor = new BatchSpanProcessor(
    new OTLPTraceExporter(patienceMs === undefined ? {} : { timeoutMillis: patienceMs }),
  );
  const tracer = new NodeTracerProvider({ resource, spanProcessors: [processor] }).getTracer('virtbus', version);
  return {
    open: (name, { kind, parent, attributes = {} }) => {
      const span = tracer.startSpan(name, { kind: kinds[kind], attributes: present(attributes) }, above(parent));
      const { traceId, spanId, traceFlags } = span.spanContext();
      return {
        traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
        end: (failure) => {
          if (failure !== undefined) {
            span.setAttribute('error.type', isVirtError(failure) ? failure.code : 'INTERNAL_ERROR');
            span.setStatus({ code: SpanStatusCode.ERROR, message: String((failure as Error).message ?? failure) });
          }
          span.end();
        },
      };
    },
    flush: () => processor.forceFlush(),
  };
}

/** W3C Trace Context, level 1: `version-trace-span-flags`. What cannot be read begins a trace of its own. */
function above(traceparent: string | undefined): Context {
  const [, traceId, spanId, flags] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(traceparent ?? '') ?? [];
  if (!traceId || !spanId || !flags) return context.active();
  return trace.setSpanContext(context.active(), {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
  });
}

function present(attributes: Record<string, string | number | undefined>): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, string | number] => entry[1] !== undefined),
  );
}
