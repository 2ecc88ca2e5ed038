/** A trace begins with the command line, or goes on from the TRACEPARENT of whoever runs it. */
import { tracing } from './lazy';

/** A collector that is not there keeps nobody from the prompt: its exporter, which tries again, would for ten seconds. */
const patienceMs = 1_000;

/** @param say what is said beside the answer: that the trace was not taken */
export async function traced(
  command: string,
  version: string,
  say: (line: string) => void,
  work: () => Promise<void>,
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  const collected = env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  if (!collected && !env.TRACEPARENT) return work();
  const { continueTrace, flushTraces, span, traceIfConfigured } = tracing();
  traceIfConfigured({ service: 'cli', version, patienceMs }, env);
  continueTrace(env.TRACEPARENT);
  try {
    await span(`virtbus ${command}`, { kind: 'internal' }, work);
  } finally {
    if (!(await flushTraces())) say(`note: the trace was not taken: no collector answers at ${collected}`);
  }
}
