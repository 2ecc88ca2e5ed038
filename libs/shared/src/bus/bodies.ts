/**
 * Bodies larger than one message.
 *
 * The sender keeps the body and says where it can be fetched; the receiver asks for it part by part. Pulling gives flow
 * control for nothing and works through queue groups, where pushed parts would reach different members.
 */
import { randomBytes } from 'node:crypto';
import { headers, type MsgHdrs, type NatsConnection } from 'nats';
import { root } from '../contracts/subjects';
import { VirtError } from '../errors';
import { header } from './headers';

/** Larger bodies are refused on both sides, bytes. */
export const maxBody = 64 * 1024 * 1024;
/** How long a sender keeps a body that nobody fetches any more, milliseconds. */
const keepMs = 30_000;
/** Left free in each message for its headers, bytes. */
const headroom = 8_192;

export class Bodies {
  /** @param where makes the subject for a token: one that only this connection may listen on. */
  constructor(
    private readonly nc: NatsConnection,
    private readonly where: (token: string) => string,
  ) {}

  /** Bytes that fit into one message beside its headers. */
  get limit(): number {
    return Math.max(1_024, (this.nc.info?.max_payload ?? 1_048_576) - headroom);
  }

  /** The body to put into the message: itself when it fits, else nothing, with headers that tell where it is. */
  outgoing(body: Uint8Array, h: MsgHdrs): Uint8Array {
    const { limit } = this;
    if (body.length <= limit) return body;
    if (body.length > maxBody) {
      throw new VirtError('MESSAGE_TOO_LARGE', { detail: `${body.length} bytes; at most ${maxBody} can be sent` });
    }
    const subject = this.newSubject();
    const parts = Math.ceil(body.length / limit);
    const sub = this.nc.subscribe(subject, {
      callback: (error, message) => {
        const n = Number(message?.headers?.get(header.part));
        if (!error && Number.isInteger(n) && n >= 0 && n < parts) {
          timer.refresh();
          message.respond(body.subarray(n * limit, (n + 1) * limit));
        }
        if (n === parts - 1) done();
      },
    });
    const done = (): void => {
      clearTimeout(timer);
      if (!sub.isClosed()) void sub.drain().catch(() => undefined);
    };
    const timer = setTimeout(done, keepMs);
    timer.unref();
    h.set(header.parts, String(parts));
    h.set(header.size, String(body.length));
    h.set(header.body, subject);
    return new Uint8Array();
  }

  /**
   * The whole body of a message, fetched where it was too large.
   * @param timeoutMs for all of it: a sender that hands out crumbs must not be waited for as often as there are any
   */
  async incoming(body: Uint8Array, h: MsgHdrs | undefined, timeoutMs: number): Promise<Uint8Array> {
    const subject = h?.get(header.body);
    if (!h || !subject) return body;
    const [parts, size] = [Number(h.get(header.parts)), Number(h.get(header.size))];
    const sound = Number.isInteger(parts) && Number.isInteger(size) && parts >= 1 && parts <= size;
    if (!sound || !servesBodies(subject)) {
      throw new VirtError('INVALID_ARG', { detail: 'the headers of a body in parts make no sense' });
    }
    if (size > maxBody) {
      throw new VirtError('MESSAGE_TOO_LARGE', { detail: `${size} bytes; at most ${maxBody} can be received` });
    }
    const due = performance.now() + timeoutMs;
    const fetched: Uint8Array[] = [];
    let at = 0;
    for (let n = 0; n < parts; n++) {
      const part = await this.fetch(subject, n, Math.max(1, due - performance.now()));
      at += part.length;
      if (at > size) throw new VirtError('RPC', { detail: 'a body in parts is longer than announced' });
      fetched.push(part);
    }
    if (at !== size) throw new VirtError('RPC', { detail: `a body in parts ended after ${at} of ${size} bytes` });
    return Buffer.concat(fetched);
  }

  private async fetch(subject: string, n: number, timeoutMs: number): Promise<Uint8Array> {
    const ask = headers();
    ask.set(header.part, String(n));
    try {
      // Answered on a subject of the same kind: a client may publish to those, and not to the inbox of a service.
      const how = { timeout: timeoutMs, headers: ask, noMux: true, reply: this.newSubject() };
      return (await this.nc.request(subject, undefined, how)).data;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new VirtError('RPC', { detail: `part ${n + 1} of a large body cannot be fetched (${why})` }, { cause });
    }
  }

  private newSubject(): string {
    return this.where(randomBytes(16).toString('hex'));
  }
}

/**
 * Only where a sender can keep a body: asking on any subject that a message names would lend our rights to its sender.
 */
function servesBodies(subject: string): boolean {
  return (
    /^_INBOX(\.[A-Za-z0-9_-]+)+$/.test(subject) ||
    new RegExp(`^${root}\\.body\\.[A-Za-z0-9_-]+\\.[0-9a-f]+$`).test(subject)
  );
}
