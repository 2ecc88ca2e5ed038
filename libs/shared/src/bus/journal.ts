/**
 * The event journal of a driver: an event is on disk before it is published.
 *
 * Append-only segments of JSON lines, and beside them the number of the last entry that the stream has acknowledged.
 * One journal a driver, published in order, keeps the order of each domain's events. Written through the page cache:
 * it survives the death of our process; a power cut takes the guests with it anyway.
 */
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { DomainEvent } from '../model';

export interface JournalEntry {
  /** Position, from 1. */
  n: number;
  event: DomainEvent;
}

const perSegment = 10_000;

export class Journal {
  private fd: number | undefined;
  private segmentStart = 1;
  private lastN = 0;
  private ackedN: number;
  private pendingEntries: JournalEntry[] = [];

  private constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.ackedN = Number(readIfThere(join(folder, 'acked')) ?? 0);
  }

  /** Read what is on disk. A last line that was cut short by a crash was never published: it is dropped. */
  static open(folder: string): Journal {
    const journal = new Journal(folder);
    for (const start of journal.segments()) {
      const path = journal.segmentPath(start);
      const content = readFileSync(path, 'utf8');
      const whole = content.slice(0, content.lastIndexOf('\n') + 1);
      if (whole.length !== content.length) writeFileSync(path, whole);
      for (const line of whole.split('\n')) {
        if (!line) continue;
        const entry = JSON.parse(line) as JournalEntry;
        journal.lastN = entry.n;
        if (entry.n > journal.ackedN) journal.pendingEntries.push(entry);
      }
      journal.segmentStart = start;
    }
    journal.lastN = Math.max(journal.lastN, journal.ackedN);
    return journal;
  }

  /** Events that the stream has not acknowledged, oldest first. */
  get pending(): readonly JournalEntry[] {
    return this.pendingEntries;
  }

  append(event: DomainEvent): JournalEntry {
    const entry = { n: this.lastN + 1, event };
    if (this.fd === undefined || entry.n - this.segmentStart >= perSegment) this.roll(entry.n);
    writeSync(this.fd!, `${JSON.stringify(entry)}\n`);
    this.lastN = entry.n;
    this.pendingEntries.push(entry);
    return entry;
  }

  /** The stream has everything up to `n`. */
  acknowledge(n: number): void {
    if (n <= this.ackedN) return;
    this.ackedN = n;
    while (this.pendingEntries[0] && this.pendingEntries[0].n <= n) this.pendingEntries.shift();
    const path = join(this.folder, 'acked');
    writeFileSync(`${path}.new`, String(n));
    renameSync(`${path}.new`, path);
    for (const start of this.segments()) {
      if (start !== this.segmentStart && start + perSegment <= n) rmSync(this.segmentPath(start), { force: true });
    }
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private roll(first: number): void {
    this.close();
    const reuse = first - this.segmentStart < perSegment && this.segments().includes(this.segmentStart);
    if (!reuse) this.segmentStart = first;
    appendFileSync(this.segmentPath(this.segmentStart), '', { mode: 0o600 });
    this.fd = openSync(this.segmentPath(this.segmentStart), 'a');
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

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
