import { encodeToken, type DomainSummary, type Inventory } from '@virtbus/shared';
import { placeholder, type DomainEntry } from './entries';
import { reconcile, type Registered } from './reconcile';

const uuid = '00000000-0000-4000-8000-000000000001';
const other = '00000000-0000-4000-8000-000000000002';
const entry = (change: Partial<DomainEntry> = {}): DomainEntry => ({
  uuid,
  name: 'web',
  host: 'h1',
  driver: 'qemu',
  epoch: 1,
  ...change,
});
const lives = (change: Partial<DomainSummary> = {}): DomainSummary => ({
  ...placeholder(entry()),
  revision: 1,
  ...change,
});
const inventory = (domains: DomainSummary[], gone: Inventory['gone'] = []): Inventory =>
  ({ status: { host: 'h1', driver: 'qemu' }, domains, gone }) as unknown as Inventory;
const registered = (...entries: DomainEntry[]): Registered => ({
  domains: new Map(entries.map((value) => [value.uuid, { key: value.uuid, value, revision: 7 }])),
  names: new Map(
    entries.map((value) => [
      encodeToken(value.name),
      { key: value.name, value: { uuid: value.uuid, until: 0 }, revision: 8 },
    ]),
  ),
});
const now = 1_000_000;

test('a registry that agrees is left alone', () => {
  const decision = reconcile(inventory([lives()]), registered(entry()), now);
  expect(decision).toEqual({ adopt: [lives()], actions: [], troubles: [] });
});

test('an empty registry is filled from what the host has', () => {
  const { adopt, actions } = reconcile(inventory([lives()]), registered(), now);
  expect(adopt).toHaveLength(1);
  expect(actions).toEqual([
    { kind: 'create', entry: entry() },
    { kind: 'claim-name', name: 'web', uuid },
  ]);
});

test('a pending claim is settled by the host that has the domain', () => {
  const pending = { commandId: 'c', until: now + 1 };
  const { actions } = reconcile(inventory([lives()]), registered(entry({ pending })), now);
  expect(actions).toEqual([{ kind: 'update', entry: entry(), revision: 7 }]);
});

test('a host with a higher epoch has the domain, one with a lower is not believed', () => {
  const elsewhere = entry({ host: 'h2', epoch: 2 });
  expect(reconcile(inventory([lives({ epoch: 3 })]), registered(elsewhere), now).actions).toEqual([
    { kind: 'update', entry: entry({ epoch: 3 }), revision: 7 },
  ]);
  const stale = reconcile(inventory([lives()]), registered(elsewhere), now);
  expect(stale).toMatchObject({ adopt: [], actions: [], troubles: [{ kind: 'stale-host', host: 'h1' }] });
});

test('two hosts under one epoch are trouble, and nothing is changed', () => {
  const decision = reconcile(inventory([lives()]), registered(entry({ host: 'h2' })), now);
  expect(decision).toMatchObject({ adopt: [], actions: [], troubles: [{ kind: 'two-hosts', hosts: ['h2', 'h1'] }] });
});

test('a name that another domain has stays with it, and both are kept', () => {
  const decision = reconcile(inventory([lives()]), registered(entry({ uuid: other, host: 'h2' })), now);
  expect(decision.adopt).toHaveLength(1);
  expect(decision.actions).toEqual([{ kind: 'create', entry: entry() }]);
  expect(decision.troubles).toEqual([{ kind: 'name-conflict', name: 'web', uuids: [other, uuid] }]);
});

test('a domain that its host does not list is missing; only its host can say that it left', () => {
  expect(reconcile(inventory([]), registered(entry()), now)).toMatchObject({
    actions: [],
    troubles: [{ kind: 'missing', name: 'web' }],
  });
  const left = reconcile(inventory([], [{ uuid, epoch: 1, revision: 9 }]), registered(entry()), now);
  expect(left).toMatchObject({ actions: [{ kind: 'forget', uuid, name: 'web', epoch: 1 }], troubles: [] });
  const formerly = reconcile(inventory([], [{ uuid, epoch: 1, revision: 9 }]), registered(entry({ epoch: 2 })), now);
  expect(formerly).toMatchObject({ actions: [], troubles: [{ kind: 'missing' }] });
});

test('a claim is let go when its time is over and its host has nothing', () => {
  const claim = (until: number) => registered(entry({ pending: { commandId: 'c', until } }));
  expect(reconcile(inventory([]), claim(now + 1), now)).toMatchObject({ actions: [], troubles: [] });
  expect(reconcile(inventory([]), claim(now - 1), now)).toMatchObject({ actions: [{ kind: 'forget' }] });
});
