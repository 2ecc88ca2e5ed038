/**
 * What an operation is: one value from which the client, the server endpoint, the reference page, the JSON Schema and
 * the AsyncAPI document come. Nothing repeats it by hand.
 */
import type { z } from 'zod';
import type { ErrorCode } from '../errors';

/** `query` changes nothing; `cmd` does, and is applied once per command id. */
export type Kind = 'query' | 'cmd';
/** The least role that may publish the operation: each role may do all that the ones before it may. */
export type Role = 'reader' | 'operator' | 'admin';
/** What an operation is about: the token of the subject after the kind. */
export type Entity = 'domain' | 'host' | 'pool' | 'volume' | 'chain' | 'migration';
/**
 * Who does the work: the domain service, the driver on the home host of the domain that the subject names, a driver of
 * the host that it names, the storage service of that host, or the migration service.
 */
export type ServedBy = 'domain-service' | 'home-host' | 'host' | 'storage-service' | 'migration-service';

export interface ContractSpec<Req extends z.ZodType, Res extends z.ZodType, E extends ErrorCode> {
  kind: Kind;
  entity: Entity;
  operation: string;
  /** `one`: the subject names the thing the call is about; `all`: it does not. */
  on: 'one' | 'all';
  servedBy: ServedBy;
  role: Role;
  request: Req;
  response: Res;
  /** Failures that belong to this operation, beside those every call can meet (`commonErrors`). */
  errors: readonly E[];
  /** How long a caller waits when it names no deadline, milliseconds. */
  timeoutMs: number;
  /** May it also be queued (`virtbus.v1.queue.…`), to be applied when the host is there? */
  queue: boolean;
  /**
   * Its driver plans which images the command needs, and storage prepares them first (decision 0014). Such a command answers
   * with `domain`, the domain's summary.
   */
  plansImages?: true;
  /** One sentence or a few; the reference page shows them. */
  doc: string;
  /** A request that works, for the reference page. */
  example: z.input<Req>;
}

export interface Contract<
  Req extends z.ZodType = z.ZodType,
  Res extends z.ZodType = z.ZodType,
  E extends ErrorCode = ErrorCode,
> extends Readonly<ContractSpec<Req, Res, E>> {
  /** `domain.start`: the name in logs, in `nats micro stats` and on the reference page. */
  readonly name: string;
}

/** What a caller may leave out is filled from the schema's defaults; what a handler gets is complete. */
export type RequestInput<C extends Contract> = z.input<C['request']>;
export type Request<C extends Contract> = z.output<C['request']>;
export type Response<C extends Contract> = z.output<C['response']>;

/** Failures that any call can meet, whatever it asks for. */
export const commonErrors = [
  'INVALID_ARG',
  'OPERATION_TIMEOUT',
  'SERVICE_OFFLINE',
  'ACCESS_DENIED',
  'MESSAGE_TOO_LARGE',
  'RPC',
  'INTERNAL_ERROR',
] as const satisfies readonly ErrorCode[];

/** Failures of any call that the storage service of a host serves. */
const storageErrors = ['HOST_OFFLINE'] as const satisfies readonly ErrorCode[];

/** Failures of any call about one domain that its home host serves. */
export const homeErrors = [
  'DOMAIN_NOT_FOUND',
  'HOST_OFFLINE',
  'DOMAIN_BUSY',
  'RESOURCE_BUSY',
  'EPOCH_STALE',
  'UNSUPPORTED_BY_DRIVER',
] as const satisfies readonly ErrorCode[];

type Defaulted = 'role' | 'timeoutMs' | 'queue' | 'on' | 'servedBy';

/**
 * Declare an operation. Defaults: about one thing, served at its home host; a query for readers within 5 s; a command
 * for operators within 30 s that may be queued, unless it is the storage service's.
 */
export function contract<Req extends z.ZodType, Res extends z.ZodType, const E extends ErrorCode>(
  spec: Omit<ContractSpec<Req, Res, E>, Defaulted> & Partial<Pick<ContractSpec<Req, Res, E>, Defaulted>>,
): Contract<Req, Res, E> {
  const query = spec.kind === 'query';
  return Object.freeze({
    on: 'one',
    servedBy: 'home-host',
    role: query ? 'reader' : 'operator',
    timeoutMs: query ? 5_000 : 30_000,
    queue: !query && spec.servedBy !== 'storage-service',
    ...spec,
    name: `${spec.entity}.${spec.operation}`,
  });
}

/** Every failure that a call of this contract can end in. */
export function errorsOf(c: Contract): ErrorCode[] {
  const served = {
    'home-host': homeErrors,
    'storage-service': storageErrors,
    'domain-service': [],
    'migration-service': [],
    host: [],
  } as const;
  return [...new Set<ErrorCode>([...c.errors, ...served[c.servedBy], ...commonErrors])];
}
