/**
 * Tells what this service does as events, in order, for as long as it takes. An event's id follows from what it tells: a copy
 * that takes a migration over tells its last phase again, and the stream keeps it once.
 */
import { decodeToken, type DrainEvent, type MigrationEvent, type MoveEvent } from '@virtbus/shared';
import { publishMove, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { reasonOf, type SagaEntry } from './journal';

/** Between attempts to reach the stream, milliseconds. */
const retryMs = 500;

export class Story {
  private tail: Promise<void> = Promise.resolve();
  /** What was told last of migrations that run. */
  private readonly chapters = new Map<string, string>();
  private stopped = false;

  constructor(
    private readonly bus: Bus,
    private readonly log: Log,
  ) {}

  stop(): void {
    this.stopped = true;
  }

  /** As this copy has written it, or found it. */
  migration(entry: SagaEntry): void {
    const { id, domain, name, source, target, ledger, cause } = entry.value;
    const now = chapter(entry.value);
    const before = this.chapters.get(id);
    if (ledger.closed) this.chapters.delete(id);
    else this.chapters.set(id, now.join());
    if (before === now.join() || (before === undefined && ledger.closed)) return;
    const told = before?.split(',') ?? [];
    const reason = reasonOf(ledger);
    for (const type of now.filter((one) => !told.includes(one))) {
      this.tell({
        // Its link may break more than once.
        id: type === 'recover' ? `${id}.${type}.${entry.revision}` : `${id}.${type}`,
        ...{ entity: 'migration', type, time: new Date().toISOString(), commandId: cause ?? decodeToken(id) },
        ...{ migration: id, domain, name, source, target },
        ...(type === ledger.settled && reason !== undefined && { reason }),
      });
    }
  }

  /** It was told by then. */
  skip(entry: SagaEntry): void {
    this.chapters.set(entry.value.id, chapter(entry.value).join());
  }

  /** Resolves when all that was told by now is in the stream, or this copy stops. */
  told(): Promise<void> {
    return this.tail;
  }

  tell(event: MigrationEvent | DrainEvent): void {
    this.tail = this.tail.then(() => this.publish(event));
  }

  private async publish(event: MoveEvent): Promise<void> {
    while (!this.stopped) {
      try {
        return await publishMove(this.bus, event);
      } catch (err) {
        this.log.debug({ err, event: event.id }, 'an event waits for the stream');
        await new Promise((resolve) => setTimeout(resolve, retryMs).unref());
      }
    }
  }
}

/** What is to be told by now of the phase that a migration is in. */
function chapter({ ledger: { step, settled } }: SagaEntry['value']): string[] {
  return [
    // Not written down when it is due, because the guest stands still; it is done by now.
    ...(step === 'handover' ? ['finish'] : []),
    ...(step === 'done' ? [] : [step]),
    ...(settled ? [settled] : []),
  ];
}
