/**
 * A stream of bytes in both directions over core NATS: consoles, contents of volumes.
 *
 * `stream.<host>.<session>.out` carries the host's bytes, `.in` the client's. Every message with bytes is numbered and
 * acknowledged by the other side once it has dealt with them; a sender that is `window` messages ahead waits. Each side sends a sign of life, and
 * ends the stream when it hears none: a client that was killed does not hold a console for ever.
 *
 * What is sent while the connection is lost is lost with it, and no more bytes need follow that show the gap. So a sign of life,
 * and the end, tell how many messages with bytes there were; the former also repeats what was acknowledged or finished.
 */
import { headers, type Msg, type Subscription } from 'nats';
import { streamSubject } from '../contracts/subjects';
import type { Bus } from './connection';

const kind = 'Virtbus-Stream';
const number = 'Virtbus-Number';
const window = 64;
const chunk = 32_768;
/** A side that hears nothing for this long ends the stream, milliseconds; it sends a sign four times as often. */
const defaultSilenceMs = 20_000;

export interface ByteStream {
  /** Send bytes; resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Send no more; what the other side sends still comes. */
  finish(): Promise<void>;
  /** End the stream; the reason reaches the other side. */
  end(reason?: string): void;
  /** The reason it ended for, once it has. */
  readonly ended: Promise<string>;
}

/** Takes bytes as they come; a promise holds up what comes next, and in the end the sender. A failure ends the stream. */
export type TakesBytes = (bytes: Uint8Array) => void | Promise<void>;

export interface ByteStreamOptions {
  bus: Bus;
  /** The subject to send to, and the one to listen on. `*` as host in the latter is the client's, who learns it later. */
  sendTo: () => string;
  listenOn: string;
  onBytes: TakesBytes;
  /** The other side sends no more. */
  onFinish?: (() => void) | undefined;
  silenceMs?: number | undefined;
}

/** The host's end of a session. */
export function hostStream(
  bus: Bus,
  host: string,
  session: string,
  onBytes: TakesBytes,
  silenceMs?: number,
  onFinish?: () => void,
): ByteStream {
  return openStream({
    bus,
    silenceMs,
    onFinish,
    sendTo: () => streamSubject(host, session, 'out'),
    listenOn: streamSubject(host, session, 'in'),
    onBytes,
  });
}

/**
 * The client's end: call it before the `console` command, so that no byte is missed; the host is known from its first
 * message or from the command's answer (`input`).
 */
export function clientStream(
  bus: Bus,
  session: string,
  onBytes: TakesBytes,
  silenceMs?: number,
): ByteStream & { connect(input: string): void } {
  let input: string | undefined;
  const stream = openStream({
    bus,
    silenceMs,
    sendTo: () => input ?? '',
    listenOn: streamSubject('*', session, 'out'),
    onBytes,
    onMessage: (subject) => (input ??= subject.replace(/\.out$/, '.in')),
  });
  return Object.assign(stream, { connect: (subject: string) => void (input = subject) });
}

function openStream(o: ByteStreamOptions & { onMessage?: (subject: string) => void }): ByteStream {
  const { nc } = o.bus;
  const silenceMs = o.silenceMs ?? defaultSilenceMs;
  let sent = 0;
  let acknowledged = 0;
  let received = 0;
  /** The last number that we have acknowledged. */
  let dealt = 0;
  let finished = false;
  let otherFinished = false;
  let heard = Date.now();
  let over = false;
  let room: (() => void)[] = [];
  let finish!: (reason: string) => void;
  const ended = new Promise<string>((resolve) => (finish = resolve));

  const send = (what: string, n?: number, bytes?: Uint8Array): void => {
    const to = o.sendTo();
    if (!to || nc.isClosed() || nc.isDraining()) return;
    const h = headers();
    h.set(kind, what);
    if (n !== undefined) h.set(number, String(n));
    nc.publish(to, bytes, { headers: h });
  };
  const close = (reason: string, tell: boolean): void => {
    if (over) return;
    over = true;
    if (tell) send(`end ${reason.replaceAll(/\s+/g, ' ')}`, sent);
    clearInterval(beat);
    sub.unsubscribe();
    for (const go of room) go();
    finish(reason);
  };
  const makeRoom = (n: number): void => {
    acknowledged = Math.max(acknowledged, n);
    const waiting = room;
    room = [];
    for (const go of waiting) go();
  };
  const receive = (message: Msg): void => {
    heard = Date.now();
    o.onMessage?.(message.subject);
    const what = message.headers?.get(kind) ?? 'bytes';
    const told = message.headers?.get(number);
    const n = told ? Number(told) : undefined;
    if (what === 'ack') return makeRoom(n ?? 0);
    if (what === 'bytes') received++;
    // Core NATS keeps order and loses only with the connection: what has not come by now is gone for good.
    if (n !== undefined && n !== received) return close('bytes were lost with the connection', true);
    if (what === 'bytes') take(message.data, n);
    else if (what === 'finish' || what === 'beat finished') {
      if (otherFinished) return;
      otherFinished = true;
      const tell = (): void => void (over || o.onFinish?.());
      if (taking) void taking.then(tell);
      else tell();
    } else if (what.startsWith('end')) {
      const reason = what.slice(4) || 'ended by the other side';
      if (taking) void taking.then(() => close(reason, false));
      else close(reason, false);
    }
  };
  /** Bytes that are still being dealt with; what comes after them waits. */
  let taking: Promise<void> | undefined;
  const take = (bytes: Uint8Array, n: number | undefined): void => {
    const acknowledge = (): void => {
      if (n !== undefined && !over) send('ack', (dealt = n));
    };
    const work = taking ? taking.then(() => (over ? undefined : o.onBytes(bytes))) : o.onBytes(bytes);
    if (!work) return acknowledge();
    const done: Promise<void> = work.then(acknowledge, (error: unknown) =>
      close(error instanceof Error ? error.message : String(error), true),
    );
    taking = done;
    void done.then(() => (taking = taking === done ? undefined : taking));
  };
  const sub: Subscription = nc.subscribe(o.listenOn, {
    callback: (error, message) => (error ? close(error.message, false) : receive(message)),
  });
  let looked = Date.now();
  const beat = setInterval(() => {
    const now = Date.now();
    // Who stood still has heard nobody: what has come meanwhile is read before it is judged.
    const stoodStill = now - looked > silenceMs / 2;
    looked = now;
    if (!stoodStill && now - heard > silenceMs) return close('the other side is silent', true);
    send(finished ? 'beat finished' : 'beat', sent);
    if (dealt > 0) send('ack', dealt);
  }, silenceMs / 4);
  beat.unref();

  const push = async (bytes: Uint8Array): Promise<void> => {
    for (let at = 0; at < bytes.length && !over; at += chunk) {
      while (!over && sent - acknowledged >= window) await new Promise<void>((resolve) => room.push(resolve));
      if (!over) send('bytes', ++sent, bytes.subarray(at, at + chunk));
    }
  };
  const sayFinished = (): void => {
    finished = true;
    if (!over) send('finish', sent);
  };
  /** Writes that wait keep their turn: the bytes of one never come between those of another. */
  let writing = Promise.resolve();

  return {
    ended,
    end: (reason = 'closed') => close(reason, true),
    finish: () => (writing = writing.then(sayFinished)),
    write: (bytes) => (writing = writing.then(() => push(bytes))),
  };
}
