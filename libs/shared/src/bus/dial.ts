/**
 * How a NATS server is dialled: as nats.js does, but what is given up is given up for good.
 *
 * nats.js 2.29 leaves an attempt that takes too long open. When the server answers after all, as one does that was paused,
 * and then drops the client that says nothing, this end is taken for that of the connection in use: another is made beside
 * it, and what both bring is mixed up by one parser. And before it leaves a server that answers no pings it waits until
 * that has taken what was written last, which a server that is stopped never does.
 */
import type { ConnectionOptions, NatsConnection } from 'nats';
import { NatsConnectionImpl, setTransportFactory } from 'nats/lib/src/nats-base-client';
import { NodeTransport, nodeResolveHost } from 'nats/lib/src/node_transport';

export interface DialOptions extends ConnectionOptions {
  /** Told of each attempt that came to no connection, also of those to reconnect: nats.js goes on without a word. */
  onFailedAttempt?: (server: string, reason: string) => void;
}

export function dial(options: DialOptions): Promise<NatsConnection> {
  setTransportFactory({ factory: () => new Attempt(), dnsResolveFn: nodeResolveHost });
  return NatsConnectionImpl.connect(options);
}

/**
 * What was published until now is handed to the system before this returns. nats.js does so when all else that goes on in this
 * turn is done, and has no word of its own for it.
 */
export function flushNow(nc: NatsConnection): void {
  const { protocol } = nc as NatsConnectionImpl;
  (protocol as unknown as { flushPending(): void }).flushPending();
}

/** One connection to one server, from the first try on. */
export class Attempt extends NodeTransport {
  private givenUp = false;

  override async connect(...[server, options]: Parameters<NodeTransport['connect']>): Promise<void> {
    try {
      await super.connect(server, options);
    } catch (error) {
      const { onFailedAttempt } = options as DialOptions;
      onFailedAttempt?.(`${server.hostname}:${server.port}`, this.givenUp ? 'it does not answer' : reasonOf(error));
      throw error;
    }
  }

  override close(error?: Error): Promise<void> {
    if (!this.connected) {
      this.givenUp = true;
      (this.socket as NodeTransport['socket'] | undefined)?.destroy();
    }
    return super.close(error);
  }

  /** The server does not answer any more. */
  override disconnect(): void {
    void this.close(new Error('the server does not answer'));
  }

  /** Called when the server has answered. What is thrown ends the socket. */
  override setupHandlers(): void {
    if (this.givenUp) {
      this.connected = false;
      throw new Error('given up before the server answered');
    }
    super.setupHandlers();
  }
}

/** nats.js calls a connection that was refused by its code alone, with the system's words below. */
function reasonOf(error: unknown): string {
  const { message, chainedError } = error as Error & { chainedError?: Error };
  return chainedError?.message ?? message;
}
