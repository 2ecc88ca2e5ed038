import { existsSync } from 'node:fs';
import { breaksOf, recordOfToday, type ContractRecord } from './contract-record';
import { contractsPath, readReleased } from './released';

const today = recordOfToday();
const without = (change: (record: ContractRecord) => void): string[] => {
  const record = structuredClone(today);
  change(record);
  return breaksOf(today, record);
};

test('today’s contracts break nobody who speaks the last release', () => {
  expect(existsSync(contractsPath)).toBe(true);
  expect(breaksOf(readReleased().contracts, today)).toEqual([]);
});

test('a record is equal to itself, and tells of every public and private operation', () => {
  expect(without(() => undefined)).toEqual([]);
  expect(Object.keys(today.contracts)).toEqual(
    expect.arrayContaining(['domain.start', 'pool.define', 'driverInventory (between services)']),
  );
});

test('a break names contract, field and what to do', () => {
  const required = without((record) => {
    const { request } = record.contracts['domain.start']!;
    record.contracts['domain.start']!.request = { ...request, required: ['paused'] };
  });
  expect(required).toEqual([
    "domain.start, request, field 'paused': has become required; add a new optional field beside it, or declare the operation anew under a v2 subject",
  ]);
});

test.each<[string, (record: ContractRecord) => void, string]>([
  ['an operation', (r) => delete r.contracts['domain.start'], 'domain.start: is gone; keep it beside'],
  ['a subject', (r) => (r.contracts['domain.start']!.subject = 'x'), 'domain.start: its subject was virtbus.v1.cmd'],
  ['a role', (r) => (r.contracts['domain.list']!.role = 'admin'), 'domain.list: readers could ask for it'],
  ['a queue', (r) => (r.contracts['domain.start']!.queue = false), 'domain.start: can be queued no more'],
  [
    'a field of an event',
    (r) => delete (r.messages['an event of a domain']!.properties as Record<string, unknown>)['domain'],
    "an event of a domain, response, field 'domain': is gone",
  ],
  ['a message', (r) => delete r.messages["a driver's heartbeat"], "a driver's heartbeat: is gone"],
  ['a type of events', (r) => (r.events['oom'] = []), 'events oom.killed: are told no more'],
  ['a class of events', (r) => delete r.events['reboot'], 'events reboot.reboot: are told no more'],
  ['an error', (r) => delete r.errors['DOMAIN_BUSY'], 'error DOMAIN_BUSY: was 68 and is gone'],
  ['a number of an error', (r) => (r.errors['DOMAIN_BUSY'] = 1), 'error DOMAIN_BUSY: was 68 and is 1'],
  ['a stream', (r) => (r.names['events'] = 'E'), 'name events: was VIRTBUS_EVENTS and is E'],
])('without %s somebody breaks', (_what, change, expected) => {
  expect(without(change)).toEqual([expect.stringContaining(expected)]);
});

test('what is new breaks nobody', () => {
  const record = structuredClone(today);
  record.contracts['domain.sing'] = { subject: 'virtbus.v1.cmd.domain.*.sing', request: {}, response: {} };
  record.events['song'] = ['sung'];
  record.errors['OUT_OF_TUNE'] = 1;
  expect(breaksOf(today, record)).toEqual([]);
});
