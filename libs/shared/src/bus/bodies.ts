/**
 * Bodies larger than one message.
 *
 * The sender keeps the body and says where it can be fetched; the receiver asks for it part by part. Pulling gives flow
 * control for nothing and works through queue groups, where pushed parts would reach different members.
 */
import { randomBytes } from 'node:crypto';
import { headers, type MsgHdrs, type NatsConnection } from 'nats';
import { VirtError } from '../errors';
import { header } from './headers';

/** Larger bodies are refused on both sides, bytes. */
export const maxBody = 64 * 1024 * 1024;
/** How long a sender keeps a body that nobody fetches, milliseconds. */
const keepMs = 30_000;

export class Bodies {
  /** @param where makes the subject for a token: one that only this connection may listen on. */
  constructor(
    private readonly nc: NatsConnection,
    private readonly where: (token: string) => string,
  ) {}

  /** Bytes that fit into one message beside its headers. */
  get limit(): number {
    return (this.nc.info?.max_payload ?? 1_048_576) - 8_192;
  }

  /** The body to put into the message: itself when it fits, else nothing, with headers that tell where it is. */
  outgoing(body: Uint8Array, h: MsgHdrs): Uint8Array {
    if (body.length <= this.limit) return body;
    if (body.length > maxBody) {
      throw new VirtError('MESSAGE_TOO_LARGE', { detail: `${body.length} bytes; at most ${maxBody} can be sent` });
    }
    const subject = this.where(randomBytes(16).toString('hex'));
    const parts = Math.ceil(body.length / this.limit);
    const part = (n: number): Uint8Array => body.subarray(n * this.limit, (n + 1) * this.limit);
    const sub = this.nc.subscribe(subject, {
      callback: (error, message) => {
        const n = Number(message?.headers?.get(header.part));
        if (!error && Number.isInteger(n) && n >= 0 && n < parts) message.respond(part(n));
        if (n === parts - 1) done();
      },
    });
    const timer = setTimeout(() => done(), keepMs);
    timer.unref();
    const done = (): void => {
      clearTimeout(timer);
      if (!sub.isClosed()) void sub.drain().catch(() => undefined);
    };
    h.set(header.parts, String(parts));
    h.set(header.size, String(body.length));
    h.set(header.body, subject);
    return new Uint8Array();
  }

  /** The whole body of a message, fetched where it was too large. */
  async incoming(body: Uint8Array, h: MsgHdrs | undefined, timeoutMs: number): Promise<Uint8Array> {
    const subject = h?.get(header.body);
    if (!h || !subject) return body;
    const [parts, size] = [Number(h.get(header.parts)), Number(h.get(header.size))];
    if (!Number.isInteger(parts) || !Number.isInteger(size) || size < 0 || parts < 1 || parts > size) {
      throw new VirtError('INVALID_ARG', { detail: 'the headers of a body in parts make no sense' });
    }
    if (size > maxBody) {
      throw new VirtError('MESSAGE_TOO_LARGE', { detail: `${size} bytes; at most ${maxBody} can be received` });
    }
    const whole = new Uint8Array(size);
    let at = 0;
    for (let n = 0; n < parts; n++) {
      const ask = headers();
      ask.set(header.part, String(n));
      const { data } = await this.nc.request(subject, undefined, { timeout: timeoutMs, headers: ask });
      if (at + data.length > size) throw new VirtError('RPC', { detail: 'a body in parts is longer than announced' });
      whole.set(data, at);
      at += data.length;
    }
    if (at !== size) throw new VirtError('RPC', { detail: `a body in parts ended after ${at} of ${size} bytes` });
    return whole;
  }
}
