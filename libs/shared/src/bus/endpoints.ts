/** From contracts to endpoints: the request is parsed before a handler sees it, its errors are those declared. */
import type { z } from 'zod';
import {
  callSubject,
  driverSubject,
  endpointSubject,
  serviceSubject,
  type Contract,
  type DriverContract,
  type Request,
  type Response,
} from '../contracts';
import { VirtError, type ErrorCode, type ErrorDetails } from '../errors';
import { parseRequest } from './call';
import { type Encoded, type Call, type Endpoint } from './serve';

/** Throws an error that the contract declares: a new failure starts in the contract. */
export type Fail<C extends Contract> = <E extends C['errors'][number]>(
  code: E,
  details: ErrorDetails<E>,
) => VirtError<E>;

const fail = (code: ErrorCode, details: never): VirtError => new VirtError(code, details);

/**
 * The endpoint of a public operation.
 * @param host listen to calls about this host alone: what its storage service serves
 */
export function endpoint<C extends Contract>(
  c: C,
  handler: (request: Request<C>, call: Call, fail: Fail<C>) => Promise<Response<C> | Encoded>,
  host?: string,
): Endpoint {
  return {
    ...frame(c),
    ...(host === undefined ? {} : { subject: callSubject(c, host) }),
    handler: (request, call) =>
      handler(parseRequest(c.name, c.request, request()) as Request<C>, call, fail as unknown as Fail<C>),
  };
}

/** The endpoint of an operation that is passed on unread. */
export function passOn(c: Contract, handler: (call: Call) => Promise<Encoded>): Endpoint {
  return { ...frame(c), handler: (_request, call) => handler(call) };
}

function frame(c: Contract): Omit<Endpoint, 'handler'> {
  return {
    name: c.name.replace('.', '-'),
    subject: endpointSubject(c),
    targetToken: c.on === 'one' ? 4 : undefined,
    timeoutMs: c.timeoutMs,
    doc: c.doc,
  };
}

/** The endpoint of a driver's operation: of its own, or of a domain operation that is passed on to it. */
export function driverEndpoint<Req extends z.ZodType>(
  at: { host: string; driver: string },
  c: Pick<DriverContract<Req>, 'operation' | 'request' | 'timeoutMs' | 'doc'>,
  handler: (request: z.output<Req>, call: Call) => Promise<unknown>,
): Endpoint {
  return {
    name: c.operation,
    subject: driverSubject(at.host, at.driver, c.operation),
    timeoutMs: c.timeoutMs,
    doc: c.doc,
    handler: (request, call) => handler(parseRequest(c.operation, c.request, request()), call),
  };
}

/** The endpoint of what one of our services asks another. */
export function serviceEndpoint<Req extends z.ZodType>(
  service: string,
  c: Pick<DriverContract<Req>, 'operation' | 'request' | 'timeoutMs' | 'doc'>,
  handler: (request: z.output<Req>, call: Call) => Promise<unknown>,
): Endpoint {
  return {
    name: c.operation,
    subject: serviceSubject(service, c.operation),
    timeoutMs: c.timeoutMs,
    doc: c.doc,
    handler: (request, call) => handler(parseRequest(c.operation, c.request, request()), call),
  };
}
