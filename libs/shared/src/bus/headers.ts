/** The headers of our messages, and a call's context read from and written to them. */
import { headers, type MsgHdrs } from 'nats';

export const header = {
  /** Command id: the same id is applied once and gets its first answer again. JetStream deduplicates by it. */
  id: 'Nats-Msg-Id',
  /** How long the caller still waits, milliseconds from receipt: relative, so that clocks need not agree. */
  timeout: 'Virtbus-Timeout',
  traceparent: 'traceparent',
  /** The uuid a call to a driver is about. */
  domain: 'Virtbus-Domain',
  /** The epoch that the caller believes the domain to be in. */
  epoch: 'Virtbus-Epoch',
  /** Between our services: who gave the command. */
  caller: 'Virtbus-Caller',
  /** A body in parts: how many, of what size in all (bytes), and the subject where they are fetched. */
  parts: 'Virtbus-Parts',
  size: 'Virtbus-Size',
  body: 'Virtbus-Body',
  part: 'Virtbus-Part',
  error: 'Nats-Service-Error',
  errorCode: 'Nats-Service-Error-Code',
} as const;

/** What a call says about itself, beside its request. */
export interface CallContext {
  /** The command's id. */
  id?: string | undefined;
  timeoutMs: number;
  traceparent?: string | undefined;
  domain?: string | undefined;
  epoch?: number | undefined;
  /** Who gave the command; believed only where our services alone may ask. */
  caller?: string | undefined;
}

export function writeContext(context: CallContext): MsgHdrs {
  const h = headers();
  h.set(header.timeout, String(Math.max(1, Math.round(context.timeoutMs))));
  if (context.id) h.set(header.id, context.id);
  if (context.traceparent) h.set(header.traceparent, context.traceparent);
  if (context.domain) h.set(header.domain, context.domain);
  if (context.caller) h.set(header.caller, context.caller);
  if (context.epoch !== undefined) h.set(header.epoch, String(context.epoch));
  return h;
}

/** `fallbackMs` holds for a caller that names no deadline (the stock nats CLI); longer ones are cut to an hour. */
export function readContext(h: MsgHdrs | undefined, fallbackMs: number): CallContext {
  const timeout = Number(h?.get(header.timeout));
  const epoch = h?.has(header.epoch) ? Number(h.get(header.epoch)) : undefined;
  return {
    timeoutMs: Number.isFinite(timeout) && timeout > 0 ? Math.min(timeout, 3_600_000) : fallbackMs,
    id: h?.get(header.id) || undefined,
    traceparent: h?.get(header.traceparent) || undefined,
    domain: h?.get(header.domain) || undefined,
    epoch: Number.isFinite(epoch) ? epoch : undefined,
    caller: h?.get(header.caller) || undefined,
  };
}
