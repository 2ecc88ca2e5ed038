/**
 * Serving operations through the NATS micro framework: `nats micro ls`, `info` and `stats` show them.
 *
 * Around each handler: the body is fetched and parsed, the deadline is kept even when the handler hangs, every failure
 * becomes an error answer, and what is not in the error table is logged whole.
 */
import { headers, type ServiceMsg } from 'nats';
import { decodeToken } from '../model';
import { VirtError, type ErrorCode } from '../errors';
import type { Log } from '../log';
import { meter, metrics } from '../metrics';
import { decode, encode, formatOf, type Format } from './codec';
import { newId, whenConnected, type Bus } from './connection';
import { inScope, span } from '../tracing';
import { header, readContext, type CallContext } from './headers';

export interface Call extends CallContext {
  /** The command's id; one was made up when the caller gave none. */
  id: string;
  /** The token of the subject that names what the call is about, decoded: a uuid, a name, a host. */
  target: string | undefined;
  /** When the caller stops waiting, on the clock of `performance.now()`. */
  deadline: number;
  /** Aborted when the deadline passes. */
  signal: AbortSignal;
  log: Log;
  /** How the caller wants its answer. */
  format: Format;
  /** The body as it came. */
  body: Uint8Array;
}

/** An answer that is encoded already: what a service passes on. */
export class Encoded {
  constructor(readonly body: Uint8Array) {}
}

/** The value it returns is the answer; what it throws is the error. */
export type Handler = (request: () => unknown, call: Call) => unknown;

export interface Endpoint {
  /** Shown by micro: letters, digits, - and _. */
  name: string;
  subject: string;
  /** Which token of the subject names the target, from 0. */
  targetToken?: number | undefined;
  timeoutMs: number;
  doc: string;
  handler: Handler;
}

export interface ServiceOptions {
  name: string;
  version: string;
  description: string;
  /** Copies in one queue group share the work; each call reaches one of them. */
  queue: string;
  metadata?: Record<string, string>;
}

export interface Served {
  /** Take no more calls. Resolves when those that were taken are answered; how long that may take is the caller's to say. */
  stop(): Promise<void>;
}

/** Resolves when the bus knows every endpoint. */
export async function serve(bus: Bus, options: ServiceOptions, endpoints: Endpoint[], log: Log): Promise<Served> {
  const underWay = new Set<Promise<void>>();
  meter.gauge(metrics.callsUnderWay, () => underWay.size);
  const service = await bus.nc.services.add(options);
  for (const endpoint of endpoints) {
    service.addEndpoint(endpoint.name, {
      subject: endpoint.subject,
      queue: options.queue,
      metadata: { doc: endpoint.doc.slice(0, 200) },
      handler: (error, message) => {
        if (error) log.error({ err: error, endpoint: endpoint.name }, 'endpoint failed');
        // A delivery of JetStream's has no inbox to answer to: nobody may turn a stored message into a command.
        else if (!message.reply?.startsWith('_INBOX'))
          log.warn({ subject: message.subject }, 'call without an inbox refused');
        else {
          // Only the connection can fail here: the answer cannot be sent.
          const answered = answer(bus, endpoint, message, log)
            .catch((err: unknown) => log.warn({ err, endpoint: endpoint.name }, 'an answer could not be sent'))
            .finally(() => underWay.delete(answered));
          underWay.add(answered);
        }
      },
    });
  }
  await bus.nc.flush();
  return {
    stop: async () => {
      const drained = service.stop().catch(() => undefined);
      // Without a server nothing comes any more, and the word that we left would be waited for.
      if (bus.connected()) await drained;
      await Promise.all(underWay);
    },
  };
}

async function answer(bus: Bus, endpoint: Endpoint, message: ServiceMsg, log: Log): Promise<void> {
  const context = readContext(message.headers, endpoint.timeoutMs);
  const id = context.id ?? newId();
  const began = performance.now();
  const operation = endpoint.name;
  const [entity, target] = subjectOf(endpoint, message);
  const domain = context.domain ?? (entity === 'domain' ? target : undefined);
  const attributes = { 'virtbus.command_id': id, 'virtbus.domain': domain, 'rpc.method': operation };
  const scope = { commandId: id, operation, traceparent: context.traceparent };
  const h = headers();
  h.set(header.id, id);
  let code: ErrorCode | 'OK' = 'OK';
  let format: Format = formatOf(message.data);
  const callLog = domain === undefined ? log : log.child({ domain });
  await inScope(scope, async () => {
    try {
      const done = span(operation, { kind: 'server', parent: context.traceparent, attributes }, work);
      // The caller may still be connected where we are not: it would wait in vain for what was done.
      const body = await done.finally(() => whenConnected(bus, began + context.timeoutMs));
      message.respond(bus.bodies.outgoing(body, h), { headers: h });
    } catch (thrown) {
      const error = VirtError.from(thrown);
      code = error.code;
      respondError(bus, message, error, format, callLog, h);
    }
  });
  meter.count(metrics.calls, { operation, code });
  meter.time(metrics.callSeconds, { operation }, (performance.now() - began) / 1_000);

  async function work(traceparent: string | undefined): Promise<Uint8Array> {
    const deadline = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const detail = `${operation} was not done within ${context.timeoutMs} ms`;
        const error = new VirtError('OPERATION_TIMEOUT', { detail });
        deadline.abort(error);
        reject(error);
      }, context.timeoutMs);
    });
    try {
      const { signal } = deadline;
      const caller = callerOf(message, context);
      const result = await Promise.race([run({ ...context, caller, traceparent }, signal), late]);
      return result instanceof Encoded ? result.body : encode(result, format);
    } finally {
      clearTimeout(timer);
    }
  }

  async function run(given: CallContext, signal: AbortSignal): Promise<unknown> {
    const whole = await bus.bodies.incoming(message.data, message.headers, context.timeoutMs);
    format = formatOf(whole);
    const named = target === undefined ? undefined : decodeToken(target);
    const deadline = began + context.timeoutMs;
    const call: Call = { ...given, id, target: named, deadline, signal, log: callLog, format, body: whole };
    return endpoint.handler(() => decode(whole), call);
  }
}

/** What a call is about: the kind of thing, and the token that names it. */
function subjectOf({ targetToken }: Endpoint, { subject }: ServiceMsg): [string | undefined, string | undefined] {
  const tokens = subject.split('.');
  return [tokens[3], targetToken === undefined ? undefined : tokens[targetToken]];
}

/**
 * Who asks: what one of our services says, on the subjects that they alone may publish to; else the user whose inbox gets the
 * answer (`auth/roles.ts`).
 */
function callerOf({ subject, reply }: ServiceMsg, { caller }: CallContext): string | undefined {
  if (caller && /^[^.]+\.[^.]+\.(host|service)\./.test(subject)) return caller;
  return /^_INBOX\.([a-z][\w-]*)\./.exec(reply ?? '')?.[1];
}

/** Longest text in an error's header, characters: the whole is in the body. */
const headerText = 1_000;

function respondError(
  bus: Bus,
  message: ServiceMsg,
  error: VirtError,
  format: Format,
  log: Log,
  h: ReturnType<typeof headers>,
): void {
  if (error.code === 'INTERNAL_ERROR')
    log.error({ err: error.cause ?? error }, 'call failed for no reason of the table');
  else log.debug({ code: error.code, reason: error.message }, 'call refused');
  h.set(header.error, error.message.replace(/\s+/g, ' ').slice(0, headerText));
  h.set(header.errorCode, String(error.number));
  const body = encode(error.toBody(), format);
  // An error that quotes half a document says enough with its beginning.
  const short = { code: error.code, message: `${error.message.slice(0, headerText)}…`, details: {} };
  message.respond(body.length <= bus.bodies.limit ? body : encode(short, format), { headers: h });
}
