/** The one place that knows pino: facts as fields, constant messages, secrets never. */
import { pino, type DestinationStream, type Logger } from 'pino';
import { currentScope, traceIdOf } from './tracing/scope';

export type Log = Logger;

export interface LogOptions {
  service: string;
  level?: string | undefined;
  host?: string | undefined;
  /** Where the lines go; standard error, which leaves standard output to the program. */
  to?: DestinationStream | undefined;
}

/** Never shown, at whichever of the first three levels of an entry they lie. */
const secrets = ['password', 'passwd', 'nkey', 'token', 'secret', 'xml'];

/** The root logger of a process: JSON lines. */
export function createLog({ service, level = 'info', host, to }: LogOptions): Log {
  return pino(
    {
      level,
      base: { service, ...(host ? { host } : {}), pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      mixin: causeOfLine,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ['', '*.', '*.*.'].flatMap((above) => secrets.map((key) => `${above}${key}`)),
        censor: '[hidden]',
      },
    },
    to ?? pino.destination({ fd: 2, sync: true }),
  );
}

/** Which command a line is logged for: docs/how-to/observe.md tells the fields. What the line itself says comes first. */
function causeOfLine(): Record<string, string> {
  const { commandId, operation, traceparent } = currentScope() ?? {};
  const traceId = traceIdOf(traceparent);
  return {
    ...(commandId === undefined ? {} : { commandId }),
    ...(operation === undefined ? {} : { operation }),
    ...(traceId === undefined ? {} : { traceId }),
  };
}

/** For code that can be used without a log. */
export const silent: Log = pino({ level: 'silent' });
