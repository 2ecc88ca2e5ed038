/** How a guest whose memory still arrives is looked after, over a hypervisor whose words are given here. */
import type { DriverHost } from '../host';
import { ArrivingMemory } from './arriving-memory';
import type { MigrationBook, MigrationRecord } from './book';
import type { Transferred } from './facet';

let now: Transferred;
let record: MigrationRecord;

beforeEach(() => {
  jest.useFakeTimers();
  now = 'stranded';
  record = {
    ...{ version: 1, id: 'm1', role: 'target', domain: 'web1', phase: 'finished', changed: 0 },
    ...{ memory: 'awaiting', uri: 'tcp:h2:49152' },
  };
  const actor = { guest: {}, record: { state: 'paused' } };
  const facets = { migration: { transferred: async () => now, postcopy: { end: async () => undefined } } };
  const host = { find: () => actor, implementation: { name: 'test', facets } } as unknown as DriverHost;
  const book = { keep: () => undefined } as unknown as MigrationBook;
  new ArrivingMemory(host, book, () => undefined).follow(record);
});
afterEach(() => jest.useRealTimers());

const seconds = (count: number) => jest.advanceTimersByTimeAsync(count * 1_000);

test('a source that does not come for longer than connecting takes is awaited no longer: the guest is stranded again', async () => {
  await seconds(25);
  expect(record.memory).toBe('awaiting');
  await seconds(10);
  expect(record.memory).toBe('stranded');
});

test('a source that comes late is let in by who listened before', async () => {
  await seconds(40);
  now = 'sending';
  await seconds(1);
  expect(record.memory).toBe('arriving');
});

test('each time that it listens the source has as long again', async () => {
  await seconds(40);
  record.memory = 'awaiting';
  await seconds(25);
  expect(record.memory).toBe('awaiting');
  now = 'arrived';
  await seconds(1);
  expect(record.memory).toBe('whole');
});
