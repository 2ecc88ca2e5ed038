/**
 * Reading the event log: from a sequence, a time, the beginning or now, and on and on.
 *
 * Survives what the server does meanwhile. After a loss of the connection it goes on where it was; when the stream
 * itself was lost and made anew, or has lost what was read, it says so (`reset`) and begins again at the stream's start.
 */
import {
  ConsumerEvents,
  DeliverPolicy,
  ErrorCode,
  type ConsumerMessages,
  type MsgRequest,
  type OrderedConsumerOptions,
  type StoredMsg,
} from 'nats';
import { eventFilter, root, streams } from '../contracts/subjects';
import { isVirtError, VirtError } from '../errors';
import type { DomainEvent, MoveEvent, StorageEvent } from '../model';
import { decode } from './codec';
import type { Bus } from './connection';
import { isMissing } from './jetstream';
import type { StoredEvent } from './journal';

export type Since = 'new' | 'all' | { sequence: number } | { time: Date };

export interface Logged<E = DomainEvent> {
  event: E;
  subject: string;
  /** Position in the stream, from 1. */
  sequence: number;
  /** No more are stored after this one at the moment it was sent. */
  last: boolean;
}

export interface TailOptions {
  filter?: string | undefined;
  since: Since;
  signal?: AbortSignal | undefined;
  /** End once everything stored has been read, instead of following. */
  once?: boolean | undefined;
  /** The stream was made anew: what was read before is history that is gone. */
  onReset?: (() => void) | undefined;
}

const idHeader = 'Nats-Msg-Id';
/** As nats-server and nats.js have it, of a stream that is there. */
const noMessage = 'no message found';
const pauseMs = 500;
/** Between looks for a consumer that is stuck, milliseconds; longer than the library takes to notice by itself. */
const stuckMs = 20_000;
/** A consumer is made anew also on a stream that was made anew: then what it reads next would be skipped history. */
const gone = new Set<string>([
  ConsumerEvents.StreamNotFound,
  ConsumerEvents.ConsumerDeleted,
  ConsumerEvents.ConsumerNotFound,
  ConsumerEvents.OrderedConsumerRecreated,
]);

/** Events of domains. */
export function tail(bus: Bus, options: TailOptions): AsyncGenerator<Logged> {
  return follow(bus, { filter: eventFilter(), ...options }, (subject, data) => {
    if (!subject.startsWith(`${root}.event.domain.`)) return undefined;
    const event = decode(data) as DomainEvent;
    return isVouchedFor(subject, event.host, event.domain?.host) ? event : undefined;
  });
}

/** Events of pools or chains; `filter` is one that `storageEventFilter` gives. */
export function tailStorage(bus: Bus, options: TailOptions & { filter: string }): AsyncGenerator<Logged<StorageEvent>> {
  return follow(bus, options, (subject, data) => {
    const event = decode(data) as StorageEvent;
    return isVouchedFor(subject, event.host) ? event : undefined;
  });
}

/** Events of migrations or drains; `filter` is one that `moveEventFilter` gives. */
export function tailMoves(bus: Bus, options: TailOptions & { filter: string }): AsyncGenerator<Logged<MoveEvent>> {
  return follow(bus, options, (_subject, data) => decode(data) as MoveEvent);
}

async function* follow<E>(
  bus: Bus,
  options: TailOptions,
  eventIn: (subject: string, data: Uint8Array) => E | undefined,
): AsyncGenerator<Logged<E>> {
  const filter = options.filter ?? eventFilter();
  let next: number | undefined;
  let since = options.since;
  let born: string | undefined;
  let read: StoredEvent | undefined;
  if (since === 'new') {
    const head = await headOf(bus);
    born = head.born;
    next = head.last + 1;
    since = { sequence: next };
  } else if (typeof since === 'object' && 'sequence' in since && !options.once) next = since.sequence;
  while (!options.signal?.aborted) {
    let end = Infinity;
    try {
      const head = await headOf(bus);
      // Another stream than the one read so far, or none at all where there was one.
      const anew = born !== undefined && head.born !== born;
      born = head.born;
      if (anew || (next !== undefined && next > head.last + 1) || (read && (await isAt(bus, read)) === false)) {
        options.onReset?.();
        next = 1;
        read = undefined;
      }
      if (options.once) {
        const last = await lastOf(bus, filter);
        if (!last || (typeof since === 'object' && 'time' in since && last.time < since.time)) return;
        end = last.seq;
      }
    } catch (error) {
      if (bus.nc.isClosed()) {
        const refused = bus.refused();
        if (refused) throw refused;
        // Whoever closed the connection reads no more; what was to be read to its end was not.
        if (!options.once) return;
      }
      if (options.once || isVirtError(error, 'ACCESS_DENIED')) throw unreadable(error);
      await pause(options.signal);
      continue;
    }
    if ((next ?? (typeof since === 'object' && 'sequence' in since ? since.sequence : 0)) > end) return;
    const from = next === undefined ? since : { sequence: next };
    const messages = await open(bus, filter, from).catch(() => undefined);
    if (!messages) {
      await pause(options.signal);
      continue;
    }
    const stop = (): void => messages.stop();
    options.signal?.addEventListener('abort', stop);
    if (options.signal?.aborted) stop();
    void watchConsumer(messages);
    const stuck = endWhenStuck(bus, filter, messages, () => next ?? (since === 'all' ? 1 : undefined));
    try {
      for await (const message of messages) {
        next = message.seq + 1;
        read = { sequence: message.seq, id: message.headers?.get(idHeader) ?? '' };
        const last = message.info.pending === 0;
        const { subject, seq: sequence } = message;
        const event = eventIn(subject, message.data);
        if (event) yield { event, subject, sequence, last };
        if (next > end) return;
      }
    } catch {
      // The consumer is gone with its server or stream; the loop opens another where this one ended.
    } finally {
      clearInterval(stuck);
      options.signal?.removeEventListener('abort', stop);
      messages.stop();
    }
    await pause(options.signal);
  }
}

/** JetStream has no leader, or no answer. */
function unreadable(error: unknown): VirtError {
  if (isVirtError(error)) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new VirtError('RPC', { detail: `the event log in JetStream cannot be read now: ${why}` }, { cause: error });
}

/** The server lets a host publish under its own name only: what speaks of another host's domain is no event. */
function isVouchedFor(subject: string, host: string, home = host): boolean {
  return subject.endsWith(`.${host}`) && home === host;
}

/** The last sequence of the events stream, 0 when it is empty or not there. */
export async function lastSequence(bus: Bus): Promise<number> {
  return (await headOf(bus)).last;
}

/** The stream's last sequence, and when it was made: another time is another stream. */
async function headOf(bus: Bus): Promise<{ last: number; born: string | undefined }> {
  try {
    const jsm = await bus.jsm();
    const { state, created } = await jsm.streams.info(streams.events);
    return { last: state.last_seq, born: created };
  } catch (error) {
    if (isMissing(error)) return { last: 0, born: undefined };
    if ((error as { code?: string }).code === ErrorCode.PermissionsViolation) {
      throw new VirtError(
        'ACCESS_DENIED',
        { detail: 'these credentials may not read the event log' },
        { cause: error },
      );
    }
    throw error;
  }
}

/** The last event the stream holds of a domain, from any host or from one. */
export function lastEvent(bus: Bus, of: { uuid: string; host?: string }): Promise<DomainEvent | undefined> {
  return lastStored(bus, eventFilter(of));
}

/** The last event that a filter lets through. */
export async function lastStored<E>(bus: Bus, filter: string): Promise<E | undefined> {
  const message = await lastOf(bus, filter);
  return message && (decode(message.data) as E);
}

/**
 * Does the stream have an event that it acknowledged? One that has grown too old for it counts as kept.
 * @throws while the stream cannot be read, or is not there
 */
export async function isKept(bus: Bus, event: StoredEvent): Promise<boolean> {
  const last = (): Promise<StoredMsg | undefined> => messageAt(bus, { last_by_subj: `${root}.event.>` });
  return (await isAt(bus, event)) ?? ((await last())?.seq ?? 0) > event.sequence;
}

/** Is it in its place? Undefined when nothing is there. */
async function isAt(bus: Bus, { sequence, id }: StoredEvent): Promise<boolean | undefined> {
  const there = await messageAt(bus, { seq: sequence });
  return there && there.header.get(idHeader) === id;
}

async function messageAt(bus: Bus, at: MsgRequest): Promise<StoredMsg | undefined> {
  const jsm = await bus.jsm();
  return jsm.streams.getMessage(streams.events, at).catch((error: unknown) => {
    if ((error as Error).message.includes(noMessage)) return undefined;
    throw error;
  });
}

/** What the server counts as pending can be short of it (nats-server 2.9, a filter with a start in the middle). */
async function lastOf(bus: Bus, filter: string): Promise<StoredMsg | undefined> {
  try {
    const jsm = await bus.jsm();
    return await jsm.streams.getMessage(streams.events, { last_by_subj: filter });
  } catch (error) {
    if (isMissing(error) || (error as Error).message.includes(noMessage)) return undefined;
    throw error;
  }
}

async function open(bus: Bus, filter: string, since: Since): Promise<ConsumerMessages> {
  const options: Partial<OrderedConsumerOptions> = { filterSubjects: filter };
  if (typeof since === 'object' && 'time' in since) {
    options.deliver_policy = DeliverPolicy.StartTime;
    options.opt_start_time = since.time.toISOString();
  } else {
    // Also from the beginning: the client library gives `all` a start sequence, which the server refuses.
    options.deliver_policy = DeliverPolicy.StartSequence;
    options.opt_start_seq = typeof since === 'object' ? Math.max(1, since.sequence) : 1;
  }
  const consumer = await bus.js.consumers.get(streams.events, options);
  return consumer.consume({ max_messages: 2_000, idle_heartbeat: 5_000 });
}

/** A consumer whose stream was deleted waits for ever: end it, so that the loop above can look again. */
async function watchConsumer(messages: ConsumerMessages): Promise<void> {
  const status = await messages.status();
  for await (const { type } of status) {
    if (gone.has(type)) messages.stop();
  }
}

/**
 * A consumer that brings nothing of what is stored is ended, so that the loop above opens another: the client library may lose
 * one over servers that go away and come back, and waits for ever then.
 * @param at the sequence that is to come; undefined where that is not known yet
 */
function endWhenStuck(
  bus: Bus,
  filter: string,
  messages: ConsumerMessages,
  at: () => number | undefined,
): NodeJS.Timeout {
  let before = at();
  const look = async (): Promise<void> => {
    const now = at();
    const hasMoved = now !== before;
    before = now;
    if (hasMoved || now === undefined) return;
    const last = await lastOf(bus, filter).catch(() => undefined);
    if (last && last.seq >= now && at() === now) messages.stop();
  };
  return setInterval(() => void look(), stuckMs).unref();
}

function pause(signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, pauseMs);
    signal?.addEventListener('abort', end);
  });
}
