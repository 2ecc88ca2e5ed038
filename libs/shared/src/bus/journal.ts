/**
 * The event journal of a driver or a storage service: an event is on disk before it is published.
 *
 * Append-only segments of JSON lines, and beside them the number of the last entry that the stream has acknowledged.
 * One journal a service, published in order, keeps the order of each domain's events. Written through the page cache:
 * it survives the death of our process; a power cut takes the guests with it anyway.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { VirtError } from '../errors';
import type { DomainEvent, StorageEvent } from '../model';

export type JournaledEvent = DomainEvent | StorageEvent;

export interface JournalEntry<E extends JournaledEvent = JournaledEvent> {
  /** Position, from 1. */
  n: number;
  event: E;
}

const perSegment = 10_000;

export class Journal<E extends JournaledEvent = DomainEvent> {
  private fd: number | undefined;
  private ackedFd: number | undefined;
  private segmentStart = 1;
  private oldestSegment = 1;
  private lastN = 0;
  private ackedN: number;
  private pendingEntries: JournalEntry<E>[] = [];
  /** Lines that cannot be read, as `segment:line`: passed over, because a driver must start on any disk. */
  readonly damaged: string[] = [];

  private constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const acked = Number(readIfThere(join(folder, 'acked')) ?? 0);
    // Unreadable: as if nothing was acknowledged. The publisher finds out what the stream has.
    this.ackedN = Number.isSafeInteger(acked) && acked > 0 ? acked : 0;
  }

  /** Read what is on disk. A last line that was cut short by a crash was never published: it is dropped. */
  static open<E extends JournaledEvent = DomainEvent>(folder: string): Journal<E> {
    const journal = new Journal<E>(folder);
    for (const start of journal.segments()) {
      const path = journal.segmentPath(start);
      const content = readFileSync(path, 'utf8');
      const whole = content.slice(0, content.lastIndexOf('\n') + 1);
      if (whole.length !== content.length) truncateSync(path, Buffer.byteLength(whole));
      journal.lastN = Math.max(journal.lastN, start - 1);
      for (const [index, line] of whole.split('\n').entries()) {
        if (!line) continue;
        const entry = parseEntry<E>(line);
        if (!entry || entry.n <= journal.lastN) {
          journal.damaged.push(`${start}:${index + 1}`);
          continue;
        }
        journal.lastN = entry.n;
        if (entry.n > journal.ackedN) journal.pendingEntries.push(entry);
      }
      journal.segmentStart = start;
    }
    journal.lastN = Math.max(journal.lastN, journal.ackedN);
    journal.oldestSegment = journal.segments()[0] ?? journal.segmentStart;
    return journal;
  }

  /** Events that the stream has not acknowledged, oldest first. */
  get pending(): readonly JournalEntry<E>[] {
    return this.pendingEntries;
  }

  /** Position of the last entry ever made, 0 before the first. */
  get last(): number {
    return this.lastN;
  }

  /** Throws `SYSTEM_ERROR` when the disk does not take it; nothing of it is left then. */
  append(event: E): JournalEntry<E> {
    const entry = { n: this.lastN + 1, event };
    try {
      if (this.fd === undefined || entry.n - this.segmentStart >= perSegment) this.roll(entry.n);
      const fd = this.fd!;
      const before = fstatSync(fd).size;
      try {
        writeFileSync(fd, `${JSON.stringify(entry)}\n`);
      } catch (cause) {
        ftruncateSync(fd, before);
        throw cause;
      }
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new VirtError('SYSTEM_ERROR', { detail: `cannot write the event journal: ${why}` }, { cause });
    }
    this.lastN = entry.n;
    this.pendingEntries.push(entry);
    return entry;
  }

  /** The stream has everything up to `n`. */
  acknowledge(n: number): void {
    if (n <= this.ackedN) return;
    this.ackedN = n;
    const first = this.pendingEntries.findIndex((entry) => entry.n > n);
    this.pendingEntries = first === -1 ? [] : this.pendingEntries.slice(first);
    // In place and of one length: a rename over the old file would cost a flush (ext4) for every event.
    this.ackedFd ??= openSync(join(this.folder, 'acked'), constants.O_RDWR | constants.O_CREAT, 0o600);
    writeSync(this.ackedFd, String(n).padStart(20), 0);
    if (this.oldestSegment + perSegment <= n) this.prune(n);
  }

  /** Drop segments whose last entry the stream has. */
  private prune(n: number): void {
    for (const start of this.segments()) {
      if (start !== this.segmentStart && start + perSegment <= n) rmSync(this.segmentPath(start), { force: true });
    }
    this.oldestSegment = this.segments()[0] ?? this.segmentStart;
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
    if (this.ackedFd !== undefined) closeSync(this.ackedFd);
    this.ackedFd = undefined;
  }

  private roll(first: number): void {
    this.close();
    const reuse = first - this.segmentStart < perSegment && this.segments().includes(this.segmentStart);
    if (!reuse) this.segmentStart = first;
    this.fd = openSync(this.segmentPath(this.segmentStart), 'a', 0o600);
  }

  private segments(): number[] {
    return readdirSync(this.folder)
      .flatMap((name) => /^(\d+)\.jsonl$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  private segmentPath(start: number): string {
    return join(this.folder, `${String(start).padStart(12, '0')}.jsonl`);
  }
}

function parseEntry<E extends JournaledEvent>(line: string): JournalEntry<E> | undefined {
  try {
    const entry = JSON.parse(line) as { n?: unknown; event?: { domain?: { uuid?: unknown }; name?: unknown } } | null;
    const about = entry?.event?.domain?.uuid ?? entry?.event?.name;
    return Number.isSafeInteger(entry?.n) && typeof about === 'string' ? (entry as JournalEntry<E>) : undefined;
  } catch {
    return undefined;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
