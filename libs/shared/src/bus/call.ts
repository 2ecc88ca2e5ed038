/** Calling an operation, and telling the ways a call can fail apart. */
import { ErrorCode as NatsCode, type Msg, type MsgHdrs } from 'nats';
import { type z } from 'zod';
import {
  atWorkSubject,
  callSubject,
  driverSubject,
  queueSubject,
  serviceSubject,
  type Contract,
  type DriverContract,
  type RequestInput,
  type Response,
} from '../contracts';
import { isVirtError, VirtError } from '../errors';
import { untilAbandoned } from './at-work';
import { decode, encode, type Format } from './codec';
import { span } from '../tracing';
import { newId, whenConnected, type Bus } from './connection';
import { header, writeContext, type CallContext } from './headers';

export interface CallOptions {
  /** The domain (uuid or name) or host the call is about. */
  target?: string | undefined;
  /** The command's id: choose it to be able to repeat the call safely. Made up for a command that has none. */
  id?: string | undefined;
  timeoutMs?: number | undefined;
  traceparent?: string | undefined;
  format?: Format | undefined;
}

/** Time that an answer may take on its way after the server has let the deadline pass, milliseconds. */
const graceMs = 500;

/** Ask for an operation and wait for its answer. Throws `VirtError`. */
export async function call<C extends Contract>(
  bus: Bus,
  c: C,
  request: RequestInput<C>,
  options: CallOptions = {},
): Promise<Response<C>> {
  const body = encode(checkRequest(c, request), options.format ?? 'msgpack');
  const context: CallContext = {
    timeoutMs: options.timeoutMs ?? c.timeoutMs,
    id: checkedId(options.id) ?? (c.kind === 'cmd' ? newId() : undefined),
    traceparent: options.traceparent,
  };
  const { servedBy } = c;
  const absent = (): VirtError => {
    if (servedBy === 'storage-service') {
      return new VirtError('HOST_OFFLINE', { host: options.target ?? '', service: 'storage' });
    }
    return new VirtError('SERVICE_OFFLINE', { service: servedBy === 'migration-service' ? 'migration' : c.entity });
  };
  const watch = c.kind === 'cmd' ? atWorkOn(c, options.target) : undefined;
  const answer = await exchange(bus, checkedSubject(callSubject(c, options.target)), body, context, absent, watch);
  return decode(answer.body) as Response<C>;
}

/** Where those who may be at a command say so. */
function atWorkOn({ servedBy }: Contract, target = ''): string {
  if (servedBy === 'storage-service') return atWorkSubject.storage(target);
  return servedBy === 'migration-service' ? atWorkSubject.migration : atWorkSubject.domain;
}

/** Ask a driver, or the storage service (driver `storage`), on its host: for our services. */
export async function callDriver<Req extends z.ZodType, Res extends z.ZodType>(
  bus: Bus,
  at: { host: string; driver: string },
  c: DriverContract<Req, Res>,
  request: z.input<Req>,
  context: Partial<CallContext> = {},
): Promise<z.output<Res>> {
  const answer = await exchange(
    bus,
    driverSubject(at.host, at.driver, c.operation),
    encode(request, 'msgpack'),
    { timeoutMs: c.timeoutMs, ...context },
    () => new VirtError('HOST_OFFLINE', { host: at.host, service: serviceName(at.driver) }),
  );
  return decode(answer.body) as z.output<Res>;
}

/** Ask another of our services. Throws `SERVICE_OFFLINE` when no copy of it is there. */
export async function callService<Req extends z.ZodType, Res extends z.ZodType>(
  bus: Bus,
  service: string,
  c: DriverContract<Req, Res>,
  request: z.input<Req>,
  context: Partial<CallContext> = {},
): Promise<z.output<Res>> {
  const answer = await exchange(
    bus,
    serviceSubject(service, c.operation),
    encode(request, 'msgpack'),
    { timeoutMs: c.timeoutMs, ...context },
    () => new VirtError('SERVICE_OFFLINE', { service }),
  );
  return decode(answer.body) as z.output<Res>;
}

/** The process that serves `virtbus.v1.host.<host>.<driver>.…`. */
const serviceName = (driver: string): string => (driver === 'storage' ? driver : `driver-${driver}`);

/** Keep a command until it can be applied. Resolves once the stream has it. */
export async function enqueue<C extends Contract>(
  bus: Bus,
  c: C,
  request: RequestInput<C>,
  options: CallOptions = {},
): Promise<{ commandId: string; duplicate: boolean }> {
  if (!c.queue) throw new VirtError('INVALID_ARG', { detail: `${c.name} cannot be queued` });
  const id = checkedId(options.id) ?? newId();
  const body = encode(checkRequest(c, request), options.format ?? 'msgpack');
  if (body.length > bus.bodies.limit) {
    // A body in parts lives with its sender, who may be gone when the command's turn comes.
    const detail = `${body.length} bytes; a queued command can have ${bus.bodies.limit}`;
    throw new VirtError('MESSAGE_TOO_LARGE', { detail });
  }
  const timeoutMs = options.timeoutMs ?? c.timeoutMs;
  const subject = checkedSubject(queueSubject(c, options.target));
  const attributes = { 'virtbus.command_id': id, 'messaging.destination.name': subject };
  try {
    return await span(
      `queue ${c.entity} ${c.operation}`,
      { kind: 'producer', parent: options.traceparent, attributes },
      async (traceparent) => {
        const headers = writeContext({ timeoutMs, id, traceparent });
        const ack = await bus.js.publish(subject, body, { headers, msgID: id });
        return { commandId: id, duplicate: ack.duplicate };
      },
    );
  } catch (cause) {
    throw transportError(cause, timeoutMs, () => {
      return new VirtError('SERVICE_OFFLINE', { service: 'queue' });
    });
  }
}

export interface Answer {
  body: Uint8Array;
  headers: MsgHdrs | undefined;
}

/** Between two tries to reach one who has not reconnected yet, milliseconds. */
const returnMs = 100;

/** A longer timer would go off at once (setTimeout). Some 24 days, milliseconds. */
export const longestMs = 2 ** 31 - 1;

/**
 * One request and its answer, as bytes. An answer that carries an error is thrown as the `VirtError` it tells.
 *
 * While there is no connection it waits for one, and what was on its way when one was lost is sent again: a command under
 * its id, which is carried out once. Soon after a reconnect a silent subject may only mean that its owner is not back yet:
 * the request, which nobody got, is sent again until the bus has settled or the call's time is up.
 * @param absent the error when nobody listens on the subject; not told of a command that may have come before that was so
 * @param watch where the copies of the service tell who is at the command: when the one that had it is gone, another gets it, under its id
 */
export async function exchange(
  bus: Bus,
  subject: string,
  body: Uint8Array,
  context: CallContext,
  absent: () => VirtError,
  watch?: string,
): Promise<Answer> {
  const attributes = { 'virtbus.command_id': context.id, 'messaging.destination.name': subject };
  return span(spanName(subject), { kind: 'client', parent: context.traceparent, attributes }, (traceparent) =>
    request(bus, subject, body, { ...context, traceparent }, absent, watch),
  );
}

/** `cmd domain start`: the same for all domains and hosts. */
function spanName(subject: string): string {
  const [, , kind = '', entity = '', ...rest] = subject.split('.');
  return kind === 'host' ? `host ${rest.join(' ')}` : `${kind} ${entity} ${rest.at(-1) ?? ''}`;
}

async function request(
  bus: Bus,
  subject: string,
  body: Uint8Array,
  context: CallContext,
  absent: () => VirtError,
  watch: string | undefined,
): Promise<Answer> {
  const due = performance.now() + context.timeoutMs;
  let message: Msg | undefined;
  let unanswered = absent;
  while (!message) {
    if (!bus.connected()) await whenConnected(bus, due);
    const left = Math.max(0, due - performance.now());
    const h = writeContext({ ...context, timeoutMs: left });
    let heedless = (): void => undefined;
    const over = new AbortController();
    try {
      const lost = new Promise<undefined>((resolve) => (heedless = bus.onReconnect(() => resolve(undefined))));
      const sent = bus.nc.request(subject, bus.bodies.outgoing(body, h), {
        timeout: Math.min(left + graceMs, longestMs),
        headers: h,
      });
      sent.catch(() => undefined);
      const { id } = context;
      const abandoned = watch && id !== undefined ? untilAbandoned(bus, watch, id, over.signal) : lost;
      abandoned.catch(() => undefined);
      message = await Promise.race([sent, lost, abandoned]);
      // It may have been heard: who is not there now may have it, and do it.
      if (!message && context.id !== undefined) unanswered = answerLost;
    } catch (cause) {
      if (bus.nc.isClosed()) throw bus.refused() ?? transportError(cause, context.timeoutMs, unanswered);
      const mayReturn = isNoResponders(cause) && bus.settling() && performance.now() + returnMs < due;
      if (!mayReturn) throw transportError(cause, context.timeoutMs, unanswered);
      await new Promise((resolve) => setTimeout(resolve, returnMs));
    } finally {
      heedless();
      over.abort();
    }
  }
  if (message.headers?.has(header.error)) throw VirtError.fromBody(decode(message.data) as object);
  return {
    body: await bus.bodies.incoming(message.data, message.headers, context.timeoutMs),
    headers: message.headers,
  };
}

/** A server takes 4096 bytes for the line that a subject stands in, and hangs up on a longer one. */
const longestSubject = 2_048;

/** Throws INVALID_ARG for the subject of a name that nothing can have. */
function checkedSubject(subject: string): string {
  if (subject.length <= longestSubject) return subject;
  throw new VirtError('INVALID_ARG', { detail: 'the name is longer than any name on the bus can be' });
}

/** Throws INVALID_ARG for what cannot stand in a header. */
function checkedId(id: string | undefined): string | undefined {
  if (id === undefined || !/[\r\n]/.test(id)) return id;
  throw new VirtError('INVALID_ARG', { detail: `the command id ${JSON.stringify(id)} has a line break` });
}

/** The schema's own words about what is wrong with a request, before it leaves. */
function checkRequest<C extends Contract>(c: C, request: RequestInput<C>): unknown {
  return parseRequest(c.name, c.request, request);
}

/** Parse a request against its schema; the error names each field and what it should have been. */
export function parseRequest<S extends z.ZodType>(name: string, schema: S, request: unknown): z.output<S> {
  const parsed = schema.safeParse(request);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => {
    const where = issue.path.map(String).join('.');
    return where ? `${where}: ${issue.message}` : issue.message;
  });
  throw new VirtError('INVALID_ARG', { detail: `${name}: ${faults.join('; ')}` });
}

function answerLost(): VirtError {
  const detail = 'the answer was lost with the connection, and nobody is there now: it may have been done';
  return new VirtError('OPERATION_TIMEOUT', { detail });
}

function isNoResponders(cause: unknown): boolean {
  return (cause as { code?: string }).code === NatsCode.NoResponders;
}

function transportError(cause: unknown, timeoutMs: number, absent: () => VirtError): VirtError {
  if (isVirtError(cause)) return cause;
  if (isNoResponders(cause)) return absent();
  const { code, message } = cause as { code?: string; message?: string };
  if (code === NatsCode.Timeout) {
    return new VirtError('OPERATION_TIMEOUT', { detail: `no answer within ${timeoutMs} ms` }, { cause });
  }
  if (code === NatsCode.PermissionsViolation) {
    return new VirtError('ACCESS_DENIED', { detail: `these credentials may not do this (${message})` }, { cause });
  }
  return new VirtError('RPC', { detail: message ?? String(cause) }, { cause });
}
