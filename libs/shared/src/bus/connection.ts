/**
 * The connection to NATS: credentials, reconnecting for ever, and what happens to it as plain log lines.
 */
import { readFileSync, statSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import {
  connect,
  credsAuthenticator,
  Events,
  nkeyAuthenticator,
  type ConnectionOptions,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
} from 'nats';
import { fromSeed } from 'nkeys.js';
import { z } from 'zod';
import { VirtError } from '../errors';
import type { Log } from '../log';
import { meter, metrics } from '../metrics';
import { bodySubject } from '../contracts/subjects';
import { Bodies } from './bodies';

/**
 * A file with what one user needs to connect, readable by its owner alone. `npm start` writes one a role; for a NATS of
 * your own, set the variables of `BusOptions` instead.
 */
export const ContextFile = z.object({
  url: z.string(),
  role: z.string(),
  nkey: z.string().describe('seed of the nkey'),
  inboxPrefix: z.string(),
});
export type ContextFile = z.infer<typeof ContextFile>;

export interface BusOptions {
  /** One or more servers, comma separated. */
  url?: string | undefined;
  /** A context file; `url` overrides the one in it. */
  context?: string | undefined;
  user?: string | undefined;
  password?: string | undefined;
  token?: string | undefined;
  /** A NATS `.creds` file (JWT and seed). */
  creds?: string | undefined;
  inboxPrefix?: string | undefined;
  /** Shown in the server's list of connections. */
  name: string;
  /** Who owns large answers: a host's name, or `service`. Clients leave it out. */
  owner?: string | undefined;
  /** Keep trying when no server answers at first, rather than fail. */
  waitOnFirstConnect?: boolean | undefined;
}

/** One connection, and what is built on it. */
export interface Bus {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly bodies: Bodies;
  /** Stream and bucket administration. */
  jsm(): Promise<JetStreamManager>;
  /** Called after each reconnect. */
  onReconnect(listener: () => void): void;
  /** Is a server there at this moment? */
  connected(): boolean;
  /** True soon after a reconnect: others who lost the same server may still be on their way back. */
  settling(): boolean;
  close(): Promise<void>;
}

/** Time in which everyone who lost a server is expected back, milliseconds; each tries again twice a second. */
const settlingMs = 5_000;

export async function connectBus(options: BusOptions, log?: Log): Promise<Bus> {
  const context = options.context ? readContextFile(options.context) : undefined;
  const url = options.url ?? context?.url ?? 'nats://127.0.0.1:4222';
  const inboxPrefix = options.inboxPrefix ?? context?.inboxPrefix;
  const settings: ConnectionOptions = {
    servers: url.split(',').map((server) => server.trim()),
    name: options.name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    pingInterval: 10_000,
    waitOnFirstConnect: options.waitOnFirstConnect ?? false,
    timeout: 5_000,
    ...(inboxPrefix ? { inboxPrefix } : {}),
    ...authentication(options, context),
  };
  let nc: NatsConnection;
  try {
    nc = await connect(settings);
  } catch (cause) {
    throw connectError(url, cause);
  }
  let reconnectedAt = -Infinity;
  let connected = true;
  const listeners = new Set<() => void>([() => (reconnectedAt = performance.now())]);
  void watchStatus(nc, listeners, (now) => (connected = now), log);
  const inbox = inboxPrefix ?? '_INBOX';
  const owner = options.owner;
  const bodies = new Bodies(nc, (token) => (owner ? bodySubject(owner, token) : `${inbox}.${token}`));
  return {
    nc,
    js: nc.jetstream({ timeout: 5_000 }),
    bodies,
    jsm: () => nc.jetstreamManager({ checkAPI: false, timeout: 5_000 }),
    onReconnect: (listener) => void listeners.add(listener),
    connected: () => connected && !nc.isClosed(),
    settling: () => performance.now() - reconnectedAt < settlingMs,
    close: async () => {
      if (nc.isClosed()) return;
      // Draining a connection whose server is gone would wait for it.
      await Promise.race([nc.drain(), new Promise((done) => setTimeout(done, 1_000).unref())]).catch(() => undefined);
      await nc.close();
    },
  };
}

/** A name that nobody else uses: for command ids, sessions and events. */
export function newId(): string {
  return randomBytes(16).toString('hex');
}

function authentication(options: BusOptions, context: ContextFile | undefined): Partial<ConnectionOptions> {
  if (options.creds) return { authenticator: credsAuthenticator(readSecret(options.creds)) };
  if (options.user) return { user: options.user, ...(options.password ? { pass: options.password } : {}) };
  if (options.token) return { token: options.token };
  if (context) return { authenticator: nkeyAuthenticator(seedOf(context, options.context)) };
  return {};
}

function seedOf({ nkey }: ContextFile, path: string | undefined): Uint8Array {
  const seed = new TextEncoder().encode(nkey);
  try {
    fromSeed(seed);
    return seed;
  } catch (cause) {
    throw new VirtError('AUTH_FAILED', { detail: `${path}: nkey: is no seed of an nkey` }, { cause });
  }
}

function readSecret(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function readContextFile(path: string): ContextFile {
  let parsed: unknown;
  try {
    if (statSync(path).mode & 0o077) {
      throw new VirtError('AUTH_FAILED', {
        detail: `credentials in ${path} can be read by others; run 'chmod 600 ${path}'`,
      });
    }
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    if (cause instanceof VirtError) throw cause;
    if (cause instanceof SyntaxError) throw new VirtError('AUTH_FAILED', { detail: `${path} is not JSON` }, { cause });
    throw unreadable(path, cause);
  }
  const context = ContextFile.safeParse(parsed);
  if (context.success) return context.data;
  const issue = context.error.issues[0];
  throw new VirtError('AUTH_FAILED', { detail: `${path}: ${issue?.path.join('.')}: ${issue?.message}` });
}

function unreadable(path: string, cause: unknown): VirtError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why = code === 'ENOENT' ? 'does not exist' : code === 'EACCES' ? 'may not be read by you' : String(cause);
  return new VirtError('AUTH_FAILED', { detail: `the credentials file ${path} ${why}` }, { cause });
}

function connectError(url: string, cause: unknown): VirtError {
  const code = (cause as { code?: string }).code ?? '';
  if (code === 'AUTHORIZATION_VIOLATION' || code === 'AUTHENTICATION_EXPIRED' || code === 'BAD_AUTHENTICATION') {
    return new VirtError('AUTH_FAILED', { detail: `the NATS server at ${url} refuses these credentials` }, { cause });
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new VirtError(
    'RPC',
    { detail: `no NATS server at ${url} (${why}); start one with 'npm start', or set VIRTBUS_NATS_URL` },
    { cause },
  );
}

async function watchStatus(
  nc: NatsConnection,
  listeners: Set<() => void>,
  connected: (now: boolean) => void,
  log?: Log,
): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === Events.Disconnect) {
      connected(false);
      log?.warn({ server: status.data }, 'disconnected from NATS');
    } else if (status.type === Events.Error) log?.error({ error: status.data }, 'NATS reports an error');
    else if (status.type === Events.Reconnect) {
      connected(true);
      meter.count(metrics.reconnects, {});
      log?.info({ server: status.data }, 'reconnected to NATS');
      for (const listener of listeners) listener();
    }
  }
}
