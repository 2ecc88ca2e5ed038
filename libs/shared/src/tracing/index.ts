export * from './scope';
export { continueTrace, flushTraces, span, step, traceIfConfigured } from './tracer';
