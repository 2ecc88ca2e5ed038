/**
 * Publishes the journal to the events stream: in order, each event once, for as long as it takes.
 *
 * The stream drops what it has seen (`Nats-Msg-Id`) within its window. After a longer absence, or a crash between
 * publishing and noting it, the publisher looks at the last event the stream holds of each domain from this host and skips
 * what is there already: epochs and the revisions within them rise, so that comparison is exact.
 *
 * The stream may lose what it has acknowledged: nats-server flushes now and then (2.9: every two minutes), and a store may be
 * put back. So the furthest event that it took is looked for after each start and each reconnect; where it is not there any
 * more, what the journal still has and the stream has not is published again.
 */
import { headers, type PubAck } from 'nats';
import { eventFilter, eventSubject, storageEventFilter, storageEventSubject, streams } from '../contracts/subjects';
import type { Log } from '../log';
import { isNewer, type Version } from '../model/version';
import { meter, metrics } from '../metrics';
import { encode } from './codec';
import type { Bus } from './connection';
import { flushNow } from './dial';
import type { Journal, JournaledEvent, JournalEntry, StoredEvent } from './journal';
import { eventsKeptMs } from './jetstream';
import { isKept, lastStored } from './tail';

const retryMs = 500;

/** How an event is addressed, and where it stands among those about the same thing. */
interface Address extends Version {
  /** What it is about: order holds within. */
  key: string;
  subject: string;
  /** Lets through the events about the same thing from the same host. */
  filter: string;
  type: string;
}

function addressOf(event: JournaledEvent): Address {
  const { type, host } = event;
  if ('domain' in event) {
    const { uuid, epoch, revision } = event.domain;
    return {
      ...{ key: uuid, epoch, revision },
      subject: eventSubject({ uuid, class: event.class, type, host }),
      filter: eventFilter({ uuid, host }),
      type: `virtbus.domain.${event.class}.${type}`,
    };
  }
  const { entity, name, epoch, revision } = event;
  return {
    ...{ key: `${entity}/${name}`, epoch, revision },
    subject: storageEventSubject({ entity, name, type, host }),
    filter: storageEventFilter({ entity, name, host }),
    type: `virtbus.${entity}.${type}`,
  };
}

export class EventPublisher {
  private wake: (() => void) | undefined;
  /** All that was journaled has been published. */
  private resting = false;
  /** What a kick has begun to publish, until the loop sees to it. */
  private begun: Promise<void> | undefined;
  private stopped = false;
  private running: Promise<void> | undefined;
  /** Stored revisions must be looked at before publishing: set after a start, a reconnect and each failure. */
  private doubtful = true;
  /** So must be whether the stream has what it acknowledged. */
  private mayHaveLost = true;
  private trouble: string | undefined;
  private readonly stored = new Map<string, Version>();

  constructor(
    private readonly bus: Bus,
    private readonly journal: Pick<Journal<JournaledEvent>, 'pending' | 'acknowledge' | 'stored' | 'tellAgain'>,
    private readonly log: Log,
  ) {}

  /** Why the stream takes no events now; undefined when nothing is known to be wrong. */
  get failing(): string | undefined {
    const { length } = this.journal.pending;
    return length > 0 ? this.trouble && `${length} events wait for the stream: ${this.trouble}` : undefined;
  }

  start(): void {
    meter.gauge(metrics.journal, () => this.journal.pending.length);
    this.bus.onReconnect(() => {
      this.doubt();
      this.wake?.();
    });
    this.running ??= this.run();
  }

  /**
   * There is something new in the journal. It is on its way when this returns, before anything else is done about it; or it
   * waits with the rest while the stream takes nothing.
   */
  kick(): void {
    if (this.trouble !== undefined) return;
    if (this.resting && !this.mayHaveLost) {
      this.resting = false;
      this.begun = this.publish(this.next());
      this.begun.catch(() => undefined);
      flushNow(this.bus.nc);
    }
    this.wake?.();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.wake?.();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      try {
        const { begun } = this;
        this.begun = undefined;
        await begun;
        if (this.mayHaveLost) await this.lookForLost();
        const batch = this.next();
        if (batch.length > 0) await this.publish(batch);
        this.trouble = undefined;
        if (batch.length > 0 || this.mayHaveLost) continue;
        this.doubtful = false;
        this.resting = true;
        await this.sleep();
        this.resting = false;
      } catch (err) {
        this.doubt();
        this.trouble = err instanceof Error ? err.message : String(err);
        meter.count(metrics.publishFailures, {});
        this.log.debug({ err, waiting: this.journal.pending.length }, 'events wait for the bus');
        await this.sleep(retryMs);
      }
    }
    await this.begun?.catch(() => undefined);
  }

  private doubt(): void {
    this.doubtful = true;
    this.mayHaveLost = true;
    this.stored.clear();
  }

  private async lookForLost(): Promise<void> {
    this.mayHaveLost = false;
    const { stored } = this.journal;
    if (stored === undefined || (await isKept(this.bus, stored))) return;
    const events = this.journal.tellAgain(new Date(Date.now() - eventsKeptMs));
    this.log.warn({ events }, 'the event log has lost what it had acknowledged: what it has not is told again');
  }

  private next(): JournalEntry[] {
    return this.journal.pending.slice(0, 256);
  }

  /**
   * Domains side by side, the events of one domain one after the other: when an event is refused, none after it has
   * reached the stream, and the last revision stored tells exactly which ones are there.
   */
  private async publish(batch: JournalEntry[]): Promise<void> {
    const tails = new Map<string, Promise<unknown>>();
    const sent = batch.map(({ n, event }) => {
      const address = addressOf(event);
      const before = tails.get(address.key);
      const done = before ? before.then(() => this.once(event, address)) : this.once(event, address);
      done.catch(() => undefined);
      tails.set(address.key, done);
      return { n, id: event.id, done };
    });
    let reached: number | undefined;
    let stored: StoredEvent | undefined;
    try {
      for (const { n, id, done } of sent) {
        const sequence = await done;
        reached = n;
        if (sequence > (stored?.sequence ?? 0)) stored = { id, sequence };
      }
    } finally {
      if (reached !== undefined) this.journal.acknowledge(reached, stored);
      await Promise.allSettled(tails.values());
    }
  }

  /** @returns its place in the stream; 0 where the stream had it already */
  private async once(event: JournaledEvent, address: Address): Promise<number> {
    if (this.doubtful && (await this.isStored(address))) return 0;
    const { seq } = await this.send(event, address);
    meter.count(metrics.eventsPublished, { class: 'domain' in event ? event.class : event.entity });
    return seq;
  }

  private send(event: JournaledEvent, { key, subject, type, epoch, revision }: Address): Promise<PubAck> {
    const h = headers();
    // CloudEvents 1.0, NATS protocol binding: attributes as headers.
    h.set('ce-specversion', '1.0');
    h.set('ce-id', event.id);
    h.set('ce-type', type);
    h.set('ce-source', `/hosts/${event.host}`);
    h.set('ce-subject', encodeURI(key));
    h.set('ce-time', event.time);
    h.set('Virtbus-Revision', String(revision));
    h.set('Virtbus-Epoch', String(epoch));
    if (event.commandId) h.set('Virtbus-Command', event.commandId);
    if (event.traceparent) h.set('traceparent', event.traceparent);
    return this.bus.js.publish(subject, encode(event, 'json'), {
      msgID: event.id,
      headers: h,
      expect: { streamName: streams.events },
    });
  }

  private async isStored(address: Address): Promise<boolean> {
    const { key, filter } = address;
    let last = this.stored.get(key);
    if (last === undefined) {
      const event = await lastStored<JournaledEvent>(this.bus, filter);
      last = event ? addressOf(event) : { epoch: 0, revision: 0 };
      this.stored.set(key, last);
    }
    return !isNewer(address, last);
  }

  private sleep(ms?: number): Promise<void> {
    if (this.stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
