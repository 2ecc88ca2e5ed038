/**
 * Taking commands out of the work queue: one durable consumer that all copies of a service share.
 *
 * A message that is being worked on is kept from being given to another copy; one whose copy died comes again after
 * `ackWaitMs`. Survives the loss of the connection and of the stream itself, like `tail`.
 */
import { AckPolicy, ConsumerEvents, nanos, type ConsumerMessages, type JsMsg } from 'nats';
import { root, streams } from '../contracts/subjects';
import type { Bus } from './connection';
import { readContext, type CallContext } from './headers';

export interface Queued {
  subject: string;
  /** The caller's context; `id` is always there. */
  context: CallContext & { id: string };
  body: Uint8Array;
  /** 1 at the first delivery. */
  attempt: number;
  /** It is done with: never again. */
  done(): void;
  /** Bring it again, after a while, milliseconds. */
  again(delayMs: number): void;
}

export interface QueueOptions {
  /** Name of the durable consumer. */
  name: string;
  /** What the commands are about: `domain`. */
  entity: string;
  /** How long a caller that named no deadline is ready to wait, milliseconds. */
  timeoutMs: (subject: string) => number;
  handle: (message: Queued) => void;
  signal: AbortSignal;
  onTrouble?: (error: unknown) => void;
}

const ackWaitMs = 15_000;
/** Commands that a process works on at a time; more are left to others, or wait in the stream. */
const atATime = 1_000;
/** Between two looks whether there is room for more, milliseconds. */
const roomMs = 100;
const pauseMs = 1_000;
const gone = new Set<string>([
  ConsumerEvents.StreamNotFound,
  ConsumerEvents.ConsumerDeleted,
  ConsumerEvents.ConsumerNotFound,
]);

/** Resolves when `signal` aborts; what was not handled by then goes to another copy. */
export async function consumeQueue(bus: Bus, options: QueueOptions): Promise<void> {
  const { signal } = options;
  const underWay = new Set<JsMsg>();
  while (!signal.aborted) {
    try {
      const messages = await open(bus, options);
      const stop = (): void => messages.stop();
      signal.addEventListener('abort', stop);
      if (signal.aborted) stop();
      void watchConsumer(messages);
      try {
        for await (const message of messages) {
          while (underWay.size >= atATime && !signal.aborted) await pause(signal, roomMs);
          if (signal.aborted) message.nak();
          else options.handle(queued(message, options, underWay));
        }
      } finally {
        signal.removeEventListener('abort', stop);
        messages.stop();
      }
    } catch (error) {
      options.onTrouble?.(error);
    }
    if (!signal.aborted) await pause(signal);
  }
}

async function open(bus: Bus, { name, entity }: QueueOptions): Promise<ConsumerMessages> {
  const jsm = await bus.jsm();
  await jsm.consumers.add(streams.queue, {
    durable_name: name,
    filter_subject: `${root}.queue.${entity}.>`,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ackWaitMs),
    max_deliver: -1,
    // Those that wait for a host count too: a limit would have them keep all others from being delivered.
    max_ack_pending: -1,
  });
  const consumer = await bus.js.consumers.get(streams.queue, name);
  return consumer.consume({ max_messages: 64, idle_heartbeat: 5_000 });
}

function queued(message: JsMsg, { timeoutMs }: QueueOptions, underWay: Set<JsMsg>): Queued {
  const working = setInterval(() => message.working(), ackWaitMs / 3);
  working.unref();
  underWay.add(message);
  const over = (): void => {
    clearInterval(working);
    underWay.delete(message);
  };
  const context = readContext(message.headers, timeoutMs(message.subject));
  return {
    subject: message.subject,
    context: { ...context, id: context.id ?? `queue-${message.info.streamSequence}-${message.info.timestampNanos}` },
    body: message.data,
    attempt: message.info.deliveryCount,
    done: () => {
      over();
      message.ack();
    },
    again: (delayMs) => {
      over();
      message.nak(delayMs);
    },
  };
}

/** A consumer that was deleted waits for ever: end it, so that the loop above makes another. */
async function watchConsumer(messages: ConsumerMessages): Promise<void> {
  for await (const { type } of await messages.status()) {
    if (gone.has(type)) messages.stop();
  }
}

function pause(signal: AbortSignal, ms = pauseMs): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}
