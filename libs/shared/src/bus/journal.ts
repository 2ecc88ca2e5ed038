/**
 * The event journal of a driver or a storage service: an event is on disk before it is published.
 *
 * Append-only segments of JSON lines, and beside them the number of the last entry that the stream has acknowledged, and where in
 * the stream the last one is. What is acknowledged stays for a while, some 10 000 entries: a stream may lose it again.
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

/** An event that the stream has acknowledged, and its place there. */
export interface StoredEvent {
  id: string;
  /** From 1. */
  sequence: number;
}

const perSegment = 10_000;
/** Segments of acknowledged entries that are kept at least. */
const keptSegments = 1;
/** Characters of each word of the note of what is acknowledged: written in place, it keeps its length. */
const wordLength = 40;

export class Journal<E extends JournaledEvent = DomainEvent> {
  private fd: number | undefined;
  private ackedFd: number | undefined;
  private segmentStart = 1;
  private oldestSegment = 1;
  private lastN = 0;
  private ackedN: number;
  private lastStored: StoredEvent | undefined;
  private pendingEntries: JournalEntry<E>[] = [];
  /** Lines that cannot be read, as `segment:line`: passed over, because a driver must start on any disk. */
  readonly damaged: string[] = [];

  private constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const [acked = 0, sequence, id] = (readIfThere(join(folder, 'acked')) ?? '').trim().split(/ +/);
    // Unreadable: as if nothing was acknowledged. The publisher finds out what the stream has.
    this.ackedN = countOf(acked);
    if (id !== undefined && countOf(sequence) > 0) this.lastStored = { id, sequence: countOf(sequence) };
  }

  /** Read what is on disk. A last line that was cut short by a crash was never published: it is dropped. */
  static open<E extends JournaledEvent = DomainEvent>(folder: string): Journal<E> {
    const journal = new Journal<E>(folder);
    for (const start of journal.segments()) {
      const { entries, damaged, tornAt } = journal.read(start);
      if (tornAt !== undefined) truncateSync(journal.segmentPath(start), tornAt);
      journal.damaged.push(...damaged);
      journal.lastN = Math.max(journal.lastN, start - 1, entries.at(-1)?.n ?? 0);
      journal.pendingEntries.push(...entries.filter(({ n }) => n > journal.ackedN));
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

  /** Of the events acknowledged, the one furthest down the stream; undefined when that is not known. */
  get stored(): StoredEvent | undefined {
    return this.lastStored;
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

  /** The stream has everything up to `n`. @param stored one of these, as it was acknowledged */
  acknowledge(n: number, stored?: StoredEvent): void {
    if (n <= this.ackedN) return;
    this.ackedN = n;
    if (stored && stored.sequence > (this.lastStored?.sequence ?? 0)) this.lastStored = stored;
    const first = this.pendingEntries.findIndex((entry) => entry.n > n);
    this.pendingEntries = first === -1 ? [] : this.pendingEntries.slice(first);
    this.note();
    if (this.oldestSegment + perSegment * (1 + keptSegments) <= n) this.prune(n);
  }

  /**
   * The stream has lost what it had acknowledged: whatever is still here is pending once more. Who publishes it looks at what the
   * stream has.
   * @param since events before that time are left out
   * @returns how many came back
   */
  tellAgain(since: Date): number {
    const kept = this.segments().flatMap((start) => this.read(start).entries);
    const before = this.pendingEntries.length;
    const first = kept.findIndex(({ event }) => new Date(event.time) >= since);
    this.pendingEntries = first === -1 ? this.pendingEntries : kept.slice(first);
    this.ackedN = Math.min(this.ackedN, (this.pendingEntries[0]?.n ?? Infinity) - 1);
    this.lastStored = undefined;
    this.note();
    return this.pendingEntries.length - before;
  }

  /** In place and of one length: a rename over the old file would cost a flush (ext4) for every event. */
  private note(): void {
    this.ackedFd ??= openSync(join(this.folder, 'acked'), constants.O_RDWR | constants.O_CREAT, 0o600);
    const words = [this.ackedN, this.lastStored?.sequence ?? '', this.lastStored?.id ?? ''];
    writeSync(this.ackedFd, words.map((word) => String(word).padStart(wordLength)).join(' '), 0);
  }

  /** Drop segments whose last entry the stream has had for long. */
  private prune(n: number): void {
    for (const start of this.segments()) {
      const isPast = start + perSegment * (1 + keptSegments) <= n;
      if (start !== this.segmentStart && isPast) rmSync(this.segmentPath(start), { force: true });
    }
    this.oldestSegment = this.segments()[0] ?? this.segmentStart;
  }

  /** @returns `tornAt`: bytes before a last line that was cut short */
  private read(start: number): { entries: JournalEntry<E>[]; damaged: string[]; tornAt: number | undefined } {
    const content = readFileSync(this.segmentPath(start), 'utf8');
    const whole = content.slice(0, content.lastIndexOf('\n') + 1);
    const tornAt = whole.length === content.length ? undefined : Buffer.byteLength(whole);
    const entries: JournalEntry<E>[] = [];
    const damaged: string[] = [];
    let last = start - 1;
    for (const [index, line] of whole.split('\n').entries()) {
      if (!line) continue;
      const entry = parseEntry<E>(line);
      if (!entry || entry.n <= last) {
        damaged.push(`${start}:${index + 1}`);
        continue;
      }
      last = entry.n;
      entries.push(entry);
    }
    return { entries, damaged, tornAt };
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

function countOf(word: unknown): number {
  const count = Number(word);
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
