/** Events of this host's storage: in the journal on disk before anybody is told, numbered across restarts. */
import { join } from 'node:path';
import type { StorageEvent } from '@virtbus/shared';
import { EventPublisher, Journal, newId, type Bus } from '@virtbus/shared/bus';
import { bootId, readReplaced, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import type { NewStorageEvent } from './host';

/**
 * Each boot of the host has an epoch of its own: the end of the journal, which a power cut may have taken, has been told, and its
 * numbers come again.
 * @param file of two words: the epoch, the boot
 */
function epochOf(file: string): number {
  const [known, boot] = (readReplaced(file) ?? '').split(' ');
  const former = Number(known) || 0;
  const now = bootId();
  if (former > 0 && boot === now) return former;
  const epoch = Math.max(former + 1, Date.now());
  try {
    replaceFile(file, `${epoch} ${now}`, true);
  } catch {
    // A host without room for it starts all the same; the next start has a later one then.
  }
  return epoch;
}

export class StorageEvents {
  private readonly journal: Journal<StorageEvent>;
  private readonly epoch: number;
  private revision: number;
  private publisher: EventPublisher | undefined;

  constructor(
    private readonly host: string,
    folder: string,
    private readonly log: Log,
  ) {
    this.journal = Journal.open<StorageEvent>(join(folder, 'journal'));
    for (const place of this.journal.damaged) log.error({ place }, 'a line of the event journal is damaged');
    this.epoch = epochOf(join(folder, 'born'));
    this.revision = this.journal.last;
  }

  tell({ cause, data, ...what }: NewStorageEvent): void {
    this.revision++;
    this.journal.append({
      id: newId(),
      ...what,
      time: new Date().toISOString(),
      host: this.host,
      ...(cause ? { commandId: cause.id } : {}),
      ...(cause?.traceparent ? { traceparent: cause.traceparent } : {}),
      epoch: this.epoch,
      revision: this.revision,
      ...(data ? { data } : {}),
    });
    this.log.info({ event: `${what.entity}.${what.type}`, of: what.name, commandId: cause?.id }, 'event');
    this.publisher?.kick();
  }

  /** Publish what the journal holds, and what will come. */
  publish(bus: Bus): Pick<EventPublisher, 'failing'> {
    this.publisher = new EventPublisher(bus, this.journal, this.log);
    this.publisher.start();
    return this.publisher;
  }

  async close(): Promise<void> {
    await this.publisher?.stop();
    this.journal.close();
  }
}
