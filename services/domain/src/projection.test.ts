import fc from 'fast-check';
import type { DomainSummary } from '@virtbus/shared';
import { Projection } from './projection';
import { placeholder } from './registry/entries';

const uuidOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const summary = (change: Partial<DomainSummary> = {}): DomainSummary => ({
  ...placeholder({ uuid: uuidOf(1), name: 'web', host: 'h1', driver: 'test', epoch: 1 }),
  state: 'shutoff',
  revision: 1,
  ...change,
});

test('the higher revision wins within an epoch, the higher epoch wins over any revision', () => {
  const projection = new Projection();
  expect(projection.apply(summary({ revision: 5 })).kind).toBe('new');
  expect(projection.apply(summary({ revision: 4, state: 'running' })).kind).toBe('stale');
  expect(projection.apply(summary({ revision: 6, state: 'running' })).kind).toBe('changed');
  expect(projection.apply(summary({ host: 'h2', epoch: 2, revision: 1 })).kind).toBe('changed');
  expect(projection.apply(summary({ revision: 99 })).kind).toBe('stale');
  expect(projection.get(uuidOf(1))).toMatchObject({ host: 'h2', epoch: 2 });
});

test('of two hosts under one epoch the first keeps the domain', () => {
  const projection = new Projection();
  projection.apply(summary());
  expect(projection.apply(summary({ host: 'h2', revision: 9 }))).toMatchObject({
    kind: 'two-hosts',
    kept: { host: 'h1' },
  });
  expect(projection.named('web')?.host).toBe('h1');
});

test('what has left does not come back by an old word, and does by a newer one', () => {
  const projection = new Projection();
  projection.apply(summary({ revision: 3, state: 'running' }));
  expect(projection.apply(summary({ revision: 4, persistent: false })).kind).toBe('gone');
  expect(projection.find('web')).toBeUndefined();
  expect(projection.apply(summary({ revision: 3, state: 'running' })).kind).toBe('stale');
  expect(projection.departed('web')).toMatchObject({ host: 'h1', left: true });
  expect(projection.apply(summary({ revision: 5 })).kind).toBe('new');
});

test('a name that looks like a uuid is found, and a uuid in any spelling', () => {
  const projection = new Projection();
  projection.apply(summary({ name: uuidOf(7) }));
  expect(projection.find(uuidOf(7))?.uuid).toBe(uuidOf(1));
  expect(projection.find(uuidOf(1).replaceAll('-', '').toUpperCase())?.uuid).toBe(uuidOf(1));
});

test('two domains of one name stay visible by uuid until one is renamed', () => {
  const projection = new Projection();
  projection.apply(summary());
  projection.apply(summary({ uuid: uuidOf(2), host: 'h2' }));
  expect(projection.named('web')?.uuid).toBe(uuidOf(1));
  projection.apply(summary({ name: 'www', revision: 2 }));
  expect(projection.named('web')?.uuid).toBe(uuidOf(2));
  expect(projection.domains.map(({ name }) => name)).toEqual(['web', 'www']);
});

test('whatever arrives in whatever order, lists are sorted, counts are true and the newest word stands', () => {
  const word = fc.record({
    n: fc.integer({ min: 0, max: 5 }),
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    epoch: fc.integer({ min: 1, max: 3 }),
    revision: fc.integer({ min: 1, max: 5 }),
    state: fc.constantFrom('running' as const, 'shutoff' as const),
    persistent: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 60 }), (words) => {
      const projection = new Projection();
      const newest = new Map<string, DomainSummary>();
      for (const { n, ...rest } of words) {
        // A host follows from the epoch, as it does in the fleet.
        const said = summary({ uuid: uuidOf(n), host: `h${rest.epoch}`, ...rest });
        projection.apply(said);
        const before = newest.get(said.uuid);
        const newer =
          !before || said.epoch > before.epoch || (said.epoch === before.epoch && said.revision > before.revision);
        if (newer) newest.set(said.uuid, said);
      }
      const living = [...newest.values()].filter(({ persistent, state }) => persistent || state === 'running');
      const byName = (a: DomainSummary, b: DomainSummary) =>
        a.name < b.name || (a.name === b.name && a.uuid < b.uuid) ? -1 : 1;
      expect(projection.domains).toEqual(living.sort(byName));
      for (const host of ['h1', 'h2', 'h3']) {
        const here = living.filter((domain) => domain.host === host);
        expect(projection.countOf(host, 'test')).toEqual({
          domains: here.length,
          active: here.filter(({ state }) => state === 'running').length,
        });
      }
    }),
  );
});
