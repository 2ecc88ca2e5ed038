/**
 * The error table: every failure that may cross the bus, with libvirt's error number and the words a user reads.
 *
 * Callers branch on `code`, people read `message`, a libvirt client gets `number`. No code is renamed or reused.
 * What is not in this table is a defect: it is logged whole and answered as `INTERNAL_ERROR`.
 */

/** When trying the same call again can help: `later` (something is busy or away), `never` (the request must change). */
export type Retry = 'never' | 'later';

interface Entry<D> {
  /** libvirt's virErrorNumber. */
  readonly number: number;
  readonly retry: Retry;
  readonly text: (details: D) => string;
}

const entry = <D>(number: number, retry: Retry, text: (details: D) => string): Entry<D> => ({ number, retry, text });

/** A failure whose whole story is one sentence. */
export interface Told {
  detail: string;
}

/** Where in a document the fault lies; `line` counts from 1. */
export interface InDocument extends Told {
  element?: string | undefined;
  attribute?: string | undefined;
  line?: number | undefined;
}

const told =
  (phrase: string) =>
  ({ detail }: Told): string =>
    `${phrase}: ${detail}`;

const inDocument =
  (phrase: string) =>
  ({ detail, line }: InDocument): string =>
    `${phrase}: ${line === undefined ? '' : `line ${line}: `}${detail}`;

export const errorTable = {
  // The request
  INVALID_ARG: entry(8, 'never', told('invalid argument')),
  XML_ERROR: entry(27, 'never', inDocument('XML error')),
  XML_DETAIL: entry(35, 'never', inDocument('XML document is not well formed')),
  XML_INVALID_SCHEMA: entry(92, 'never', inDocument('XML document failed to validate against schema')),
  CONFIG_UNSUPPORTED: entry(67, 'never', inDocument('unsupported configuration')),
  OS_TYPE: entry(16, 'never', inDocument('unknown OS type')),
  ARGUMENT_UNSUPPORTED: entry(74, 'never', told('argument unsupported')),
  OVERFLOW: entry(82, 'never', told('numerical overflow')),

  // The domain and its state
  DOMAIN_NOT_FOUND: entry(
    42,
    'never',
    ({ domain }: { domain: string }) => `Domain not found: no domain with matching name or uuid '${domain}'`,
  ),
  DOMAIN_EXISTS: entry(9, 'never', told('operation failed')),
  DOMAIN_BUSY: entry(
    68,
    'later',
    ({ job }: { job: string }) =>
      `Timed out during operation: cannot acquire state change lock (held by monitor=${job})`,
  ),
  OPERATION_INVALID: entry(55, 'never', told('Requested operation is not valid')),
  OPERATION_FAILED: entry(9, 'never', told('operation failed')),
  OPERATION_TIMEOUT: entry(68, 'later', told('Timed out during operation')),
  OPERATION_ABORTED: entry(78, 'never', told('operation aborted')),
  OPERATION_UNSUPPORTED: entry(84, 'never', told('Operation not supported')),
  OPERATION_DENIED: entry(29, 'never', told('operation forbidden')),
  DEVICE_MISSING: entry(99, 'never', told('device not found')),
  NO_DOMAIN_METADATA: entry(80, 'never', told('metadata not found')),
  BLOCK_COPY_ACTIVE: entry(83, 'never', told('block copy still active')),
  NO_DOMAIN_SNAPSHOT: entry(72, 'never', ({ snapshot }: { snapshot: string | undefined }) =>
    snapshot === undefined
      ? 'Domain snapshot not found: the domain does not have a current snapshot'
      : `Domain snapshot not found: no domain snapshot with matching name '${snapshot}'`,
  ),
  SNAPSHOT_REVERT_RISKY: entry(77, 'never', told('revert requires force')),
  RESOURCE_BUSY: entry(87, 'later', told('resource busy')),
  CPU_INCOMPATIBLE: entry(91, 'never', told('the CPU is incompatible with host CPU')),

  // Storage
  POOL_NOT_FOUND: entry(
    49,
    'never',
    ({ pool }: { pool: string }) => `Storage pool not found: no storage pool with matching name or uuid '${pool}'`,
  ),
  POOL_EXISTS: entry(9, 'never', told('operation failed')),
  VOLUME_NOT_FOUND: entry(
    50,
    'never',
    ({ volume, pool }: { volume: string; pool?: string | undefined }) =>
      `Storage volume not found: no storage volume with matching ${pool === undefined ? 'path or key' : 'name'} '${volume}'` +
      `${pool === undefined ? '' : ` in pool '${pool}'`}`,
  ),
  VOLUME_EXISTS: entry(
    90,
    'never',
    ({ volume, pool }: { volume: string; pool: string }) =>
      `this storage volume exists already: '${volume}' in pool '${pool}'`,
  ),
  IMAGE_INVALID: entry(
    9,
    'never',
    ({ image, detail }: { image: string; detail: string }) =>
      `operation failed: image '${image}' is refused: ${detail}`,
  ),
  BACKING_FORMAT_MISSING: entry(
    55,
    'never',
    ({ base, overlay, repair }: { base: string; overlay: string; repair: string }) =>
      `Requested operation is not valid: format of backing image '${base}' of image '${overlay}' was not specified in the image metadata; ` +
      `when you know it, record it: ${repair}`,
  ),
  IMAGE_IN_USE: entry(
    55,
    'later',
    ({ path, users }: { path: string; users: string[] }) =>
      `Requested operation is not valid: ${path} is in use: ${users.join('; ')}`,
  ),

  // Migration
  MIGRATION_NOT_FOUND: entry(
    55,
    'never',
    ({ migration }: { migration: string }) =>
      `Requested operation is not valid: no migration '${migration}', nor of a domain of that name or uuid`,
  ),
  MIGRATE_UNSAFE: entry(81, 'never', told('Unsafe migration')),
  COOKIE_INVALID: entry(1, 'never', told('internal error')),
  NO_DOMAIN_CHECKPOINT: entry(
    103,
    'never',
    ({ checkpoint }: { checkpoint: string }) =>
      `Domain checkpoint not found: no domain checkpoint with matching name '${checkpoint}'`,
  ),
  NO_DOMAIN_BACKUP: entry(104, 'never', told('Domain backup job id not found')),
  CHECKPOINT_INCONSISTENT: entry(109, 'never', told('checkpoint inconsistent')),

  // The guest agent
  AGENT_UNRESPONSIVE: entry(86, 'later', told('Guest agent is not responding')),
  AGENT_COMMAND_TIMEOUT: entry(112, 'later', told('guest agent command timed out')),
  AGENT_COMMAND_FAILED: entry(113, 'never', told('guest agent command failed')),

  // The fleet
  HOST_NOT_FOUND: entry(
    4,
    'never',
    ({ host }: { host: string }) => `unknown host: no host named '${host}'; 'virtbus hosts' lists those that are known`,
  ),
  HOST_OFFLINE: entry(
    39,
    'later',
    ({ host, service }: { host: string; service: string }) =>
      `host offline: nobody answers for ${service} on host '${host}'; start it there and try again`,
  ),
  NO_SUITABLE_HOST: entry(9, 'later', told('operation failed: no suitable host')),
  SERVICE_OFFLINE: entry(
    39,
    'later',
    ({ service }: { service: string }) => `no ${service} service answers on the bus; is virtbus running there?`,
  ),
  UNSUPPORTED_BY_DRIVER: entry(
    3,
    'never',
    ({ driver, operation }: { driver: string; operation: string }) =>
      `this function is not supported by the connection driver: ${driver} cannot ${operation}`,
  ),
  EPOCH_STALE: entry(
    55,
    'never',
    ({ domain, mine, asked }: { domain: string; mine: number; asked: number }) =>
      `Requested operation is not valid: domain '${domain}' is at epoch ${mine} here, the caller speaks of epoch ${asked}`,
  ),
  ACCESS_DENIED: entry(88, 'never', told('access denied')),
  AUTH_FAILED: entry(45, 'never', told('authentication failed')),
  RPC: entry(39, 'later', told('Cannot communicate over the bus')),
  MESSAGE_TOO_LARGE: entry(39, 'never', told('message too large')),

  // The machine
  SYSTEM_ERROR: entry(38, 'never', told('system error')),
  INTERNAL_ERROR: entry(1, 'never', told('internal error')),
} as const satisfies Record<string, Entry<never>>;

export type ErrorCode = keyof typeof errorTable;
export type ErrorDetails<C extends ErrorCode> = Parameters<(typeof errorTable)[C]['text']>[0];

/** The wire form of a failure: the body of an answer that carries the `Nats-Service-Error` headers. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  details: Record<string, unknown>;
}

/** A failure out of the table. `cause` stays in the log of the process that threw it. */
export class VirtError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'VirtError';
  readonly code: C;
  readonly details: ErrorDetails<C>;

  constructor(code: C, details: ErrorDetails<C>, options?: { cause?: unknown }) {
    super((errorTable[code].text as (d: ErrorDetails<C>) => string)(details), options);
    this.code = code;
    this.details = details;
  }

  /** libvirt's error number. */
  get number(): number {
    return errorTable[this.code].number;
  }

  get retry(): Retry {
    return errorTable[this.code].retry;
  }

  toBody(): ErrorBody {
    return { code: this.code, message: this.message, details: { ...(this.details as object) } };
  }

  /** The other end of `toBody`. An unknown code (a newer peer's) becomes `INTERNAL_ERROR` with the peer's words. */
  static fromBody(body: { code?: unknown; message?: unknown; details?: unknown } | null): VirtError {
    if (body === null) return new VirtError('INTERNAL_ERROR', { detail: 'the peer gave no reason' });
    const message = typeof body.message === 'string' ? body.message : 'the peer gave no reason';
    if (typeof body.code === 'string' && Object.hasOwn(errorTable, body.code)) {
      const code = body.code as ErrorCode;
      const error = new VirtError(code, (body.details ?? {}) as ErrorDetails<ErrorCode>);
      error.message = message;
      return error;
    }
    return new VirtError('INTERNAL_ERROR', { detail: message });
  }

  /** Any thrown value as an error of the table; what is not one is a defect and keeps its cause for the log. */
  static from(thrown: unknown): VirtError {
    if (isVirtError(thrown)) return thrown;
    const detail = thrown instanceof Error ? thrown.message : String(thrown);
    return new VirtError('INTERNAL_ERROR', { detail }, { cause: thrown });
  }
}

/** Was this thrown by design, with the given code? */
export function isVirtError<C extends ErrorCode>(thrown: unknown, code?: C): thrown is VirtError<C> {
  return thrown instanceof VirtError && (code === undefined || thrown.code === code);
}
