/**
 * Publishes the journal to the events stream: in order, each event once, for as long as it takes.
 *
 * The stream drops what it has seen (`Nats-Msg-Id`) within its window. After a longer absence, or a crash between
 * publishing and noting it, the publisher looks at the last event the stream holds of each domain from this host and skips
 * what is there already: epochs and the revisions within them rise, so that comparison is exact.
 */
import { headers } from 'nats';
import { eventSubject, streams } from '../contracts/subjects';
import type { Log } from '../log';
import type { DomainEvent } from '../model';
import { encode } from './codec';
import type { Bus } from './connection';
import type { Journal, JournalEntry } from './journal';
import { lastEvent } from './tail';

const retryMs = 500;

interface Version {
  epoch: number;
  revision: number;
}

export class EventPublisher {
  private wake: (() => void) | undefined;
  private stopped = false;
  private running: Promise<void> | undefined;
  /** Domains whose stored revision must be looked at before publishing: set after a start and after each failure. */
  private doubtful = true;
  private readonly stored = new Map<string, Version>();

  constructor(
    private readonly bus: Bus,
    private readonly journal: Journal,
    private readonly log: Log,
  ) {}

  start(): void {
    this.bus.onReconnect(() => this.kick());
    this.running ??= this.run();
  }

  /** There is something new in the journal. */
  kick(): void {
    this.wake?.();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.kick();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      const batch = this.journal.pending.slice(0, 256);
      if (batch.length === 0) {
        this.doubtful = false;
        await this.sleep();
        continue;
      }
      try {
        await this.publish(batch);
      } catch (err) {
        this.doubtful = true;
        this.stored.clear();
        this.log.debug({ err, waiting: this.journal.pending.length }, 'events wait for the bus');
        await this.sleep(retryMs);
      }
    }
  }

  /**
   * Domains side by side, the events of one domain one after the other: when an event is refused, none after it has
   * reached the stream, and the last revision stored tells exactly which ones are there.
   */
  private async publish(batch: JournalEntry[]): Promise<void> {
    const tails = new Map<string, Promise<unknown>>();
    const sent = batch.map(({ n, event }) => {
      const { uuid } = event.domain;
      const done = (tails.get(uuid) ?? Promise.resolve()).then(() => this.once(event));
      done.catch(() => undefined);
      tails.set(uuid, done);
      return { n, done };
    });
    let reached: number | undefined;
    try {
      for (const { n, done } of sent) {
        await done;
        reached = n;
      }
    } finally {
      if (reached !== undefined) this.journal.acknowledge(reached);
      await Promise.allSettled(tails.values());
    }
  }

  private async once(event: DomainEvent): Promise<void> {
    if (this.doubtful && (await this.isStored(event))) return;
    await this.send(event);
  }

  private send(event: DomainEvent): Promise<unknown> {
    const h = headers();
    // CloudEvents 1.0, NATS protocol binding: attributes as headers.
    h.set('ce-specversion', '1.0');
    h.set('ce-id', event.id);
    h.set('ce-type', `virtbus.domain.${event.class}.${event.type}`);
    h.set('ce-source', `/hosts/${event.host}`);
    h.set('ce-subject', event.domain.uuid);
    h.set('ce-time', event.time);
    h.set('Virtbus-Revision', String(event.domain.revision));
    h.set('Virtbus-Epoch', String(event.domain.epoch));
    if (event.commandId) h.set('Virtbus-Command', event.commandId);
    if (event.traceparent) h.set('traceparent', event.traceparent);
    const subject = eventSubject({ uuid: event.domain.uuid, class: event.class, type: event.type, host: event.host });
    return this.bus.js.publish(subject, encode(event, 'json'), {
      msgID: event.id,
      headers: h,
      expect: { streamName: streams.events },
    });
  }

  private async isStored({ host, domain: { uuid, epoch, revision } }: DomainEvent): Promise<boolean> {
    let last = this.stored.get(uuid);
    if (last === undefined) {
      last = (await lastEvent(this.bus, { uuid, host }))?.domain ?? { epoch: 0, revision: 0 };
      this.stored.set(uuid, last);
    }
    return epoch === last.epoch ? revision <= last.revision : epoch < last.epoch;
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
