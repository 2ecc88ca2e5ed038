/** Where registry, hosts, books and what a copy believes disagree, and where they only seem to. */
import { encodeToken, type DomainSummary } from '@virtbus/shared';
import { entryOf, placeholder, type FleetLease } from '../registry/entries';
import { disagreements, type BookLease, type Facts } from './compare';

const uuid = '00000000-0000-4000-8000-000000000001';
const other = '00000000-0000-4000-8000-000000000002';
const now = 1_000_000;

const web = (change: Partial<DomainSummary> = {}): DomainSummary => ({
  ...placeholder({ uuid, name: 'web', host: 'h1', driver: 'qemu', epoch: 3 }),
  ...{ state: 'running', revision: 7 },
  ...change,
});
const booked = (change: Partial<BookLease> = {}): BookLease => ({
  ...{ domain: uuid, host: 'h1', identity: 'file:1', path: '/a', fleet: true },
  ...change,
});
const leased = (change: Partial<FleetLease['holder']> = {}): FleetLease => ({
  ...{ identity: 'file:1', path: '/a' },
  holder: { domain: uuid, name: 'web', host: 'h1', driver: 'qemu', epoch: 3, claim: 'c', ...change },
});

/** Copies of the service, of which each believes this of the domain. */
const believing = (...each: DomainSummary[]): Facts['copies'] =>
  each.map((domain, index) => ({ name: `copy ${index}`, beliefs: [domain] }));

/** One domain that runs with one image, told alike by all. */
const sound: Facts = {
  now,
  entries: [entryOf(web())],
  names: new Map([[encodeToken('web'), { uuid, until: 0 }]]),
  fleetLeases: [leased()],
  copies: [{ name: 'one', beliefs: [web()] }],
  inventories: new Map([['h1.qemu', [web()]]]),
  books: new Map([['h1', [booked()]]]),
};
const kinds = (change: Partial<Facts>): string[] => disagreements({ ...sound, ...change }).map(({ kind }) => kind);

test('nothing is told where all agree', () => {
  expect(disagreements(sound)).toEqual([]);
});

test.each<[string, Partial<Facts>]>([
  ['unregistered', { entries: [] }],
  ['elsewhere', { entries: [entryOf(web({ host: 'h2' }))] }],
  ['epoch', { entries: [entryOf(web({ epoch: 4 }))] }],
  ['name', { names: new Map([[encodeToken('web'), { uuid: other, until: now + 1 }]]) }],
  ['name-claim', { names: new Map([...sound.names, [encodeToken('gone'), { uuid: other, until: now }]]) }],
  ['projection', { copies: believing(web(), web({ revision: 6 })) }],
  ['projection', { copies: believing(web({ state: 'paused' })) }],
  ['lease-unknown', { fleetLeases: [leased(), { ...leased(), identity: 'file:2' }] }],
  ['lease-missing', { fleetLeases: [] }],
  ['lease-missing', { fleetLeases: [leased({ host: 'h2' })] }],
])('%s is told, and whose it is', (kind, change) => {
  const [found, ...more] = disagreements({ ...sound, ...change });
  expect({ kind: found?.kind, more: more.filter((one) => one.kind === kind) }).toEqual({ kind, more: [] });
  expect(found?.domain).toBe(kind === 'name-claim' ? other : uuid);
});

test('a domain that its host does not have is told once its claim has run out', () => {
  const inventories = new Map([['h1.qemu', []]]);
  const pending = { ...entryOf(web()), pending: { commandId: 'c', until: now + 1 } };
  const rest = { inventories, copies: [], fleetLeases: [], books: new Map() };
  expect(kinds({ ...rest, entries: [pending] })).toEqual([]);
  expect(kinds({ ...rest, entries: [{ ...pending, pending: { commandId: 'c', until: now } }] })).toEqual(['no-home']);
});

test('of a host that did not answer nothing is concluded', () => {
  expect(kinds({ inventories: new Map() })).toEqual([]);
  expect(kinds({ books: new Map() })).toEqual([]);
  expect(kinds({ books: new Map(), fleetLeases: [] })).toEqual([]);
});

test('a claim on a name that has not run out is nobody else’s business yet', () => {
  expect(kinds({ names: new Map([...sound.names, [encodeToken('new'), { uuid: other, until: now + 1 }]]) })).toEqual(
    [],
  );
});

test('what a domain that has left is still told to hold or to be is not looked at', () => {
  const left = web({ state: 'nostate', persistent: false, id: -1 });
  const inventories = new Map([['h1.qemu', [left]]]);
  const rest = { names: new Map(), books: new Map(), fleetLeases: [], entries: [], copies: [] };
  expect(kinds({ ...rest, inventories })).toEqual([]);
});

test('a copy that knows of a later epoch than the host is told as elsewhere alone', () => {
  const moved = web({ host: 'h2', epoch: 4 });
  expect(kinds({ entries: [entryOf(moved)], copies: believing(moved) })).toEqual(['elsewhere']);
});

test('an image that is leased on one host alone need not be in the book of the fleet', () => {
  expect(kinds({ fleetLeases: [], books: new Map([['h1', [booked({ fleet: false })]]]) })).toEqual([]);
});

test('a lease outlives its use only for a domain that starts by itself', () => {
  const holding = (change: Partial<DomainSummary>): string[] => {
    const domain = web(change);
    return kinds({ inventories: new Map([['h1.qemu', [domain]]]), copies: believing(domain) });
  };
  expect(holding({ state: 'shutoff' })).toEqual(['lease-of-nobody']);
  expect(holding({ state: 'shutoff', autostart: true })).toEqual([]);
});
