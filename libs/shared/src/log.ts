/** The one place that knows pino: facts as fields, constant messages, secrets never. */
import { pino, type Logger } from 'pino';

export type Log = Logger;

export interface LogOptions {
  service: string;
  level?: string | undefined;
  host?: string | undefined;
}

/** The root logger of a process; JSON lines on standard error, which leaves standard output to the program. */
export function createLog({ service, level = 'info', host }: LogOptions): Log {
  return pino(
    {
      level,
      base: { service, ...(host ? { host } : {}), pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ['*.password', '*.passwd', '*.nkey', '*.token', '*.secret', 'xml', '*.xml'],
        censor: '[hidden]',
      },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}

/** For code that can be used without a log. */
export const silent: Log = pino({ level: 'silent' });
