/**
 * Following the event log into the projection, and starting again where the log was lost: a new stream is read from its
 * beginning, because hosts write into it what they could not before.
 */
import { lastSequence, tail, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { meter, metrics } from '@virtbus/shared/metrics';
import type { Settler } from './images/settle';
import type { Knowledge } from './knowledge';
import type { Projection } from './projection';

export class EventFollower {
  private current: AbortController | undefined;

  constructor(
    private readonly bus: Bus,
    private readonly projection: Projection,
    private readonly knowledge: Knowledge,
    private readonly settler: Settler,
    /** The log is not the one that was followed: what was heard from it is more than it tells now. */
    private readonly onReset: () => void,
    private readonly log: Log,
  ) {}

  /** Follow from what is not stored yet; what was before comes from the hosts. */
  async begin(): Promise<void> {
    const last = await lastSequence(this.bus);
    this.follow(last + 1);
  }

  /** The stream was made anew. */
  beginAgain(): void {
    this.follow(1);
  }

  stop(): void {
    this.current?.abort();
  }

  private follow(sequence: number): void {
    this.current?.abort();
    const here = new AbortController();
    this.current = here;
    this.projection.asOf = sequence - 1;
    void this.run(sequence, here.signal);
  }

  private async run(from: number, signal: AbortSignal): Promise<void> {
    let next = from;
    while (!signal.aborted) {
      try {
        const onReset = (): void => {
          if (signal.aborted) return;
          this.log.warn('the event log was made anew');
          this.projection.asOf = 0;
          this.onReset();
        };
        for await (const { event, sequence } of tail(this.bus, { since: { sequence: next }, signal, onReset })) {
          if (signal.aborted) return;
          meter.count(metrics.eventsReceived, { class: event.class });
          this.knowledge.happened(event.domain);
          this.settler.happened(event);
          this.projection.asOf = sequence;
          next = sequence + 1;
        }
      } catch (err) {
        this.log.warn({ err }, 'following events failed; trying again');
        await new Promise((resolve) => setTimeout(resolve, 1_000).unref());
      }
    }
  }
}
