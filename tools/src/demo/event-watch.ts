/** The events of one domain from the beginning, and waiting for one of them in turn. */
import { eventFilter, type DomainEvent } from '@virtbus/shared';
import { tail, type Bus } from '@virtbus/shared/bus';

const patienceMs = 60_000;

export class EventWatch implements AsyncDisposable {
  private readonly events: DomainEvent[] = [];
  private next = 0;
  private wake: (() => void) | undefined;
  private readonly stop = new AbortController();

  private constructor(bus: Bus, uuid: string) {
    void this.follow(bus, uuid);
  }

  static async open(bus: Bus, uuid: string): Promise<EventWatch> {
    const watch = new EventWatch(bus, uuid);
    await watch.seen('defined', 'added');
    return watch;
  }

  seen(type: string, detail: string): Promise<DomainEvent> {
    return this.until(`${type}(${detail})`, (e) => e.class === 'lifecycle' && e.type === type && e.detail === detail);
  }

  seenClass(eventClass: string, type: string): Promise<DomainEvent> {
    return this.until(`${eventClass}.${type}`, (e) => e.class === eventClass && e.type === type);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
  }

  /** The next such event after the last one that was waited for. */
  private async until(what: string, wanted: (event: DomainEvent) => boolean): Promise<DomainEvent> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      for (; this.next < this.events.length; this.next++) {
        const event = this.events[this.next]!;
        if (wanted(event)) {
          this.next++;
          return event;
        }
      }
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no event ${what} came`)), deadline - Date.now());
        this.wake = () => (clearTimeout(timer), resolve());
      });
    }
  }

  private async follow(bus: Bus, uuid: string): Promise<void> {
    const options = { filter: eventFilter({ uuid }), since: 'all', signal: this.stop.signal } as const;
    for await (const { event } of tail(bus, options)) {
      this.events.push(event);
      this.wake?.();
    }
  }
}
