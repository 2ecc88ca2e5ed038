/**
 * How a connection proves who it is, and knows whom it talks to: from a context file or from settings of its own.
 *
 * A context file is read again at each reconnect: new credentials are put in the old ones' place, nothing is restarted.
 */
import { credsAuthenticator, jwtAuthenticator, type Authenticator, type ConnectionOptions } from 'nats';
import { fromSeed } from 'nkeys.js';
import { VirtError } from '../errors';
import type { Log } from '../log';
import type { BusOptions } from './connection';
import { readContextFile, readSecret, type ContextFile } from './context-file';

/** What a connection is made with. */
export interface Access {
  url: string;
  inboxPrefix: string | undefined;
  settings: Partial<ConnectionOptions>;
  /** Why servers may refuse it, as far as can be told from here: one line. */
  whyRefused(): string;
}

/** Throws `AUTH_FAILED` when a file that is named cannot be used. */
export function accessOf(options: BusOptions, log?: Log): Access {
  const context = options.context ? new Context(options.context, log) : undefined;
  const url = options.url ?? context?.latest.url ?? 'nats://127.0.0.1:4222';
  return {
    url,
    inboxPrefix: options.inboxPrefix ?? context?.latest.inboxPrefix,
    settings: { ...authentication(options, context), ...transport(options, context?.latest, url) },
    whyRefused: () => context?.whyRefused() ?? 'the server refuses these credentials',
  };
}

class Context {
  latest: ContextFile;
  private first = true;

  constructor(
    private readonly path: string,
    private readonly log?: Log,
  ) {
    this.latest = readContextFile(path);
    this.checkSeed(this.latest);
  }

  readonly authenticator: Authenticator = (nonce) => {
    if (!this.first) this.readAgain();
    this.first = false;
    const { jwt, nkey } = this.latest;
    return jwtAuthenticator(jwt, new TextEncoder().encode(nkey))(nonce);
  };

  whyRefused(): string {
    const expires = expiryOf(this.latest.jwt);
    if (expires !== undefined && expires.getTime() <= Date.now()) {
      const renew = `'virtbus auth rotate ${this.latest.name}' makes new ones`;
      return `the credentials in ${this.path} expired on ${expires.toISOString()}; ${renew}`;
    }
    return `the server refuses the credentials in ${this.path}: they were revoked, or are of another bus`;
  }

  /** A file that cannot be read just now leaves us what we have. */
  private readAgain(): void {
    try {
      const read = readContextFile(this.path);
      this.checkSeed(read);
      this.latest = read;
    } catch (error) {
      this.log?.warn({ reason: (error as Error).message }, 'credentials stay as they were');
    }
  }

  private checkSeed({ nkey }: ContextFile): void {
    try {
      fromSeed(new TextEncoder().encode(nkey));
    } catch (cause) {
      throw new VirtError('AUTH_FAILED', { detail: `${this.path}: nkey: is no seed of an nkey` }, { cause });
    }
  }
}

function authentication(options: BusOptions, context: Context | undefined): Partial<ConnectionOptions> {
  if (options.creds) return { authenticator: credsAuthenticator(readSecret(options.creds)) };
  if (options.user) return { user: options.user, ...(options.password ? { pass: options.password } : {}) };
  if (options.token) return { token: options.token };
  return context ? { authenticator: context.authenticator } : {};
}

/** TLS is asked for, never merely hoped for: by `tls://`, or by a certificate to check the server against. */
function transport(options: BusOptions, context: ContextFile | undefined, url: string): Partial<ConnectionOptions> {
  const pem = (path: string): string => new TextDecoder().decode(readSecret(path));
  const ca = options.ca ? pem(options.ca) : context?.ca;
  const tls = {
    ...(ca === undefined ? {} : { ca }),
    ...(options.cert ? { cert: pem(options.cert) } : {}),
    ...(options.key ? { key: pem(options.key) } : {}),
  };
  return Object.keys(tls).length > 0 || url.includes('tls://') ? { tls } : {};
}

/** When a JWT ceases to be good; undefined when it never does, or says nothing that can be read. */
function expiryOf(jwt: string): Date | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as { exp?: unknown };
    return typeof exp === 'number' && exp > 0 ? new Date(exp * 1_000) : undefined;
  } catch {
    return undefined;
  }
}
