/** A trace begins with the command line, or goes on from the TRACEPARENT of whoever runs it. */
import { tracing } from './lazy';

export async function traced(
  command: string,
  version: string,
  work: () => Promise<void>,
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  const collected = env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  if (!collected && !env.TRACEPARENT) return work();
  const { continueTrace, flushTraces, span, traceIfConfigured } = tracing();
  traceIfConfigured({ service: 'cli', version }, env);
  continueTrace(env.TRACEPARENT);
  try {
    await span(`virtbus ${command}`, { kind: 'internal' }, work);
  } finally {
    await flushTraces();
  }
}
