import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isVirtError } from '../errors';
import type { DomainEvent } from '../model';
import { Journal } from './journal';

const event = (revision: number, more: Record<string, unknown> = {}): DomainEvent =>
  ({
    id: `e${revision}`,
    class: 'lifecycle',
    type: 'started',
    time: '2026-01-02T03:04:05.000Z',
    host: 'h1',
    domain: { uuid: 'c7a5fdbd-edaf-9455-926a-d65c16db1809', name: 'web1 – ü', epoch: 1, revision },
    ...more,
  }) as unknown as DomainEvent;

let folder: string;
const open: Journal[] = [];
const journal = (): Journal => {
  const one = Journal.open(folder);
  open.push(one);
  return one;
};
const numbers = (j: Journal): number[] => j.pending.map(({ n }) => n);
const segments = (): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .sort();
const lastSegment = (): string => join(folder, segments().at(-1)!);

beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-journal-'))));
afterEach(() => {
  for (const one of open.splice(0)) one.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('the journal', () => {
  test('gives a later process what was not acknowledged, in order', () => {
    const first = journal();
    for (let n = 1; n <= 5; n++) expect(first.append(event(n)).n).toBe(n);
    first.acknowledge(2);
    expect(numbers(first)).toEqual([3, 4, 5]);
    const second = journal();
    expect(second.pending).toEqual(first.pending);
    expect(second.append(event(6)).n).toBe(6);
    second.acknowledge(6);
    second.acknowledge(4); // late and lower: nothing comes back
    expect(numbers(journal())).toEqual([]);
    expect(journal().append(event(7)).n).toBe(7);
  });

  test('is on disk when append returns, readable by nobody else', () => {
    journal().append(event(1));
    expect(readFileSync(lastSegment(), 'utf8')).toContain('"revision":1');
    expect(statSync(lastSegment()).mode & 0o077).toBe(0);
  });

  test('drops a last line that a crash cut short, and goes on in its place', () => {
    const first = journal();
    first.append(event(1));
    first.append(event(2));
    const torn = Buffer.from(`{"n":3,"event":${JSON.stringify(event(3))}}`);
    appendFileSync(lastSegment(), torn.subarray(0, torn.indexOf(0xc3) + 1)); // in the middle of a character
    const second = journal();
    expect(numbers(second)).toEqual([1, 2]);
    expect(second.damaged).toEqual([]);
    second.append(event(3));
    expect(journal().pending.map((entry) => entry.event.domain.revision)).toEqual([1, 2, 3]);
  });

  test('begins a new file each 10 000 entries and removes what has been acknowledged for 10 000; 25 000 entries read back', () => {
    const first = journal();
    for (let n = 1; n <= 25_000; n++) first.append(event(n));
    expect(segments()).toEqual(['000000000001.jsonl', '000000010001.jsonl', '000000020001.jsonl']);
    first.acknowledge(10_001);
    expect(segments()).toHaveLength(3);
    const second = journal();
    expect(numbers(second)).toEqual(Array.from({ length: 14_999 }, (_, i) => 10_002 + i));
    second.acknowledge(25_000);
    expect(segments()).toEqual(['000000010001.jsonl', '000000020001.jsonl']);
    second.append(event(25_001));
    expect(numbers(journal())).toEqual([25_001]);
  });

  test.each(['{"n":2,"event":{"do', 'null', '7', '{}', '\0\0\0\0', '{"n":2,"event":{}}'])(
    'passes over a line in the middle that reads %j, and says which',
    (line) => {
      const first = journal();
      for (let n = 1; n <= 3; n++) first.append(event(n));
      const lines = readFileSync(lastSegment(), 'utf8').split('\n');
      lines[1] = line;
      writeFileSync(lastSegment(), lines.join('\n'));
      const second = journal();
      expect(numbers(second)).toEqual([1, 3]);
      expect(second.damaged).toEqual(['1:2']);
      expect(second.append(event(4)).n).toBe(4);
    },
  );

  test('keeps where in the stream the furthest event is, and gives all back when the stream has lost it', () => {
    const first = journal();
    for (let n = 1; n <= 5; n++) first.append(event(n, { time: `2026-01-0${n}T00:00:00.000Z` }));
    first.acknowledge(2, { id: 'e1', sequence: 12 });
    first.acknowledge(3, { id: 'e3', sequence: 11 });
    first.acknowledge(4);
    expect(first.stored).toEqual({ id: 'e1', sequence: 12 });
    const second = journal();
    expect(second.stored).toEqual({ id: 'e1', sequence: 12 });
    expect(second.tellAgain(new Date('2027-01-01'))).toBe(0);
    expect(numbers(second)).toEqual([5]);
    expect(second.tellAgain(new Date('2026-01-02'))).toBe(3);
    expect(numbers(second)).toEqual([2, 3, 4, 5]);
    // Also for whoever goes on with it.
    const third = journal();
    expect([numbers(third), third.stored]).toEqual([[2, 3, 4, 5], undefined]);
    third.acknowledge(5, { id: 'e5', sequence: 3 });
    expect([numbers(third), third.stored]).toEqual([[], { id: 'e5', sequence: 3 }]);
  });

  test('tells one entry once when a file holds it twice', () => {
    const first = journal();
    for (let n = 1; n <= 2; n++) first.append(event(n));
    appendFileSync(lastSegment(), readFileSync(lastSegment()));
    expect(numbers(journal())).toEqual([1, 2]);
  });

  test.each(['', 'garbage', '-5', 'NaN', '1e99'])(
    'whose note of the last acknowledged reads %j gives everything that is there',
    (text) => {
      const first = journal();
      for (let n = 1; n <= 3; n++) first.append(event(n));
      first.acknowledge(2);
      writeFileSync(join(folder, 'acked'), text);
      const second = journal();
      expect(numbers(second)).toEqual([1, 2, 3]);
      expect(second.append(event(4)).n).toBe(4);
    },
  );

  test('whose files are gone goes on after the last acknowledged', () => {
    const first = journal();
    for (let n = 1; n <= 3; n++) first.append(event(n));
    first.acknowledge(3);
    first.close();
    rmSync(lastSegment());
    expect(journal().append(event(4)).n).toBe(4);
  });

  test('that cannot be written says so in one line, and counts nothing', () => {
    const first = journal();
    first.append(event(1));
    first.close();
    rmSync(folder, { recursive: true });
    const refused = (): unknown => first.append(event(2));
    expect(refused).toThrow(/^system error: cannot write the event journal: /);
    try {
      refused();
    } catch (error) {
      expect(isVirtError(error, 'SYSTEM_ERROR')).toBe(true);
    }
    expect(numbers(first)).toEqual([1]);
  });
});
