/**
 * The connection to NATS: credentials, reconnecting for ever, and what happens to it as plain log lines.
 */
import { randomBytes } from 'node:crypto';
import { Events, type JetStreamClient, type JetStreamManager, type NatsConnection } from 'nats';
import type { VirtError } from '../errors';
import type { Log } from '../log';
import { meter, metrics } from '../metrics';
import { bodySubject } from '../contracts/subjects';
import { Bodies } from './bodies';
import { connectError, isRefusal } from './connect-error';
import { accessOf } from './credentials';
import { dial, type DialOptions } from './dial';

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
  /** Files in PEM form: who vouches for the servers, and what we show to servers that ask for a certificate. */
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
  /** Shown in the server's list of connections. */
  name: string;
  /** Who owns large answers: a host's name, or `service`. Clients leave it out. */
  owner?: string | undefined;
}

/** One connection, and what is built on it. */
export interface Bus {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly bodies: Bodies;
  /** Stream and bucket administration. */
  jsm(): Promise<JetStreamManager>;
  /** Called after each reconnect: what was on its way may have been lost with the connection before. Returns how to stop. */
  onReconnect(listener: () => void): () => void;
  /** Why the servers do not let us in any more: `AUTH_FAILED`. */
  refused(): VirtError | undefined;
  /** Is a server there at this moment? */
  connected(): boolean;
  /** True soon after a reconnect: others who lost the same server may still be on their way back. */
  settling(): boolean;
  close(): Promise<void>;
}

/** Time in which everyone who lost a server is expected back, milliseconds; each tries again twice a second. */
const settlingMs = 5_000;

/** Until it is said again that there is no connection, milliseconds. */
const sayAgainMs = 30_000;

/** Between two tries of a service whose credentials are refused, milliseconds. */
const refusedMs = 2_000;

/**
 * A client whose credentials cease to be good loses its connection for ever. A service (`owner`) stays as it would with
 * the bus gone, and tries again with what its context file then holds: guests are none of its credentials' business.
 */
export async function connectBus(options: BusOptions, log?: Log): Promise<Bus> {
  const access = accessOf(options, log);
  const { url, inboxPrefix } = access;
  const isService = options.owner !== undefined;
  let refused: VirtError | undefined;
  let saidAt = -Infinity;
  const settings: DialOptions = {
    servers: url.split(',').map((server) => server.trim()),
    name: options.name,
    maxReconnectAttempts: -1,
    reconnectDelayHandler: () => (refused ? refusedMs : 250 + Math.random() * 250),
    ignoreAuthErrorAbort: isService,
    // One that is silent for three of these is left.
    pingInterval: 5_000,
    timeout: 5_000,
    // Names are the system's to look up, within that time. The client's own way leaves out /etc/hosts, and waits for a name
    // server that does not answer for as long as it takes: a service stayed away half a minute with two good servers left.
    resolve: false,
    // Else each request begins with a look at the stack, for an error that it hardly ever ends with.
    noAsyncTraces: true,
    onFailedAttempt: (server, reason) => {
      if (connected || performance.now() - saidAt < sayAgainMs) return;
      saidAt = performance.now();
      log?.warn({ server, reason }, 'no connection to NATS; trying again');
    },
    ...(inboxPrefix ? { inboxPrefix } : {}),
    ...access.settings,
  };
  // The caller is told of the first attempt.
  let connected = true;
  let nc: NatsConnection;
  try {
    nc = await dial(settings);
  } catch (cause) {
    throw connectError(access, cause);
  }
  let reconnectedAt = -Infinity;
  const reconnected = new Set<() => void>([() => (reconnectedAt = performance.now()), () => (refused = undefined)]);
  const watchers: Watchers = {
    reconnected,
    connected: (now) => (connected = now),
    failed: (error) => {
      if (!isRefusal(error)) return;
      if (!refused) log?.error({ reason: access.whyRefused() }, 'credentials are refused; trying again');
      refused = connectError(access, error);
    },
  };
  void watchStatus(nc, watchers, log);
  void nc.closed().then((error) => (refused = isRefusal(error) ? connectError(access, error) : undefined));
  const inbox = inboxPrefix ?? '_INBOX';
  const owner = options.owner;
  const bodies = new Bodies(nc, (token) => (owner ? bodySubject(owner, token) : `${inbox}.${token}`));
  return {
    nc,
    js: nc.jetstream({ timeout: 5_000 }),
    bodies,
    jsm: () => nc.jetstreamManager({ checkAPI: false, timeout: 5_000 }),
    onReconnect: (listener) => {
      reconnected.add(listener);
      return () => void reconnected.delete(listener);
    },
    refused: () => refused,
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

/** Between two looks whether the connection is back, milliseconds. */
const lookMs = 100;

/**
 * Wait for a connection, until `due` on the clock of `performance.now()`; for none that is closed. What is sent without one is
 * dropped when there is one again (nats.js).
 */
export async function whenConnected(bus: Bus, due: number): Promise<void> {
  while (!bus.connected() && !bus.nc.isClosed() && performance.now() + lookMs < due)
    await new Promise((resolve) => setTimeout(resolve, lookMs));
}

/** A name that nobody else uses: for command ids, sessions and events. */
export function newId(): string {
  return randomBytes(16).toString('hex');
}

interface Watchers {
  reconnected: Set<() => void>;
  connected(now: boolean): void;
  failed(error: { code: unknown }): void;
}

async function watchStatus(nc: NatsConnection, watchers: Watchers, log?: Log): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === Events.Disconnect) {
      watchers.connected(false);
      log?.warn({ server: status.data }, 'disconnected from NATS');
    } else if (status.type === Events.Error) {
      log?.error({ error: status.data }, 'NATS reports an error');
      watchers.failed({ code: status.data });
    } else if (status.type === Events.Reconnect) {
      watchers.connected(true);
      meter.count(metrics.reconnects, {});
      log?.info({ server: status.data }, 'reconnected to NATS');
      for (const listener of watchers.reconnected) listener();
    }
  }
}
