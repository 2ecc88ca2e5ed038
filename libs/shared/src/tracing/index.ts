export { currentScope, inScope, stepsTaken, traceIdOf, type Scope } from './scope';
export { continueTrace, flushTraces, span, step, traceIfConfigured } from './tracer';
