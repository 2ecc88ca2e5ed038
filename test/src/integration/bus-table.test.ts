import { Conflict, newId, Table, type Bus, type Change } from '@virtbus/shared/bus';
import { eventually } from '@virtbus/testkit';
import { z } from 'zod';
import { BusStand } from './bus-stand';

const Place = z.object({ host: z.string(), epoch: z.number() });
type Place = z.infer<typeof Place>;
const bucket = 'virtbus_domains';

let stand: BusStand;
let bus: Bus;
let table: Table<Place>;
beforeEach(async () => {
  stand = await BusStand.start();
  bus = await stand.as('service');
  table = await Table.open(bus, bucket, Place);
});
afterEach(() => stand[Symbol.asyncDispose]());

const h1 = { host: 'h1', epoch: 1 };
const h2 = { host: 'h2', epoch: 2 };

test('a key is created once', async () => {
  const revision = await table.create('web1', h1);
  expect(await table.get('web1')).toEqual({ key: 'web1', value: h1, revision });
  await expect(table.create('web1', h2)).rejects.toThrow(Conflict);
  expect((await table.get('web1'))?.value).toEqual(h1);
  expect(await table.get('web2')).toBeUndefined();
});

test('of twenty writers who create the same key at once, one wins', async () => {
  const others = await Promise.all([stand.as('service'), stand.as('service')]);
  const tables = await Promise.all(others.map((other) => Table.open(other, bucket, Place)));
  const tries = Array.from({ length: 20 }, (_, n) => tables[n % 2]!.create('web1', { host: `h${n}`, epoch: n }));
  const results = await Promise.allSettled(tries);
  const won = results.flatMap((result, n) => (result.status === 'fulfilled' ? [n] : []));
  expect(won).toHaveLength(1);
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(Conflict);
  }
  expect((await table.get('web1'))?.value.epoch).toBe(won[0]);
});

test('an update and a deletion hold only for the revision that was read', async () => {
  const first = await table.create('web1', h1);
  const second = await table.update('web1', h2, first);
  await expect(table.update('web1', h1, first)).rejects.toThrow('web1 was written by somebody else');
  await expect(table.delete('web1', first)).rejects.toThrow(Conflict);
  expect(await table.get('web1')).toEqual({ key: 'web1', value: h2, revision: second });
  await table.delete('web1', second);
  expect(await table.get('web1')).toBeUndefined();
});

test('a deleted key can be created again', async () => {
  await table.delete('web1', await table.create('web1', h1));
  await table.create('web1', h2);
  expect((await table.get('web1'))?.value).toEqual(h2);
});

test('all of a bucket is read in one sweep, without what was deleted', async () => {
  expect(await table.entries()).toEqual([]);
  for (let n = 0; n < 300; n++) await table.create(`d${n}`, { host: 'h1', epoch: n });
  await table.delete('d7', (await table.get('d7'))!.revision);
  const entries = await table.entries();
  expect(entries).toHaveLength(299);
  expect(entries.every(({ key, value }) => key === `d${value.epoch}`)).toBe(true);
});

test('a bucket is swept again only when something was written to it, by whomever', async () => {
  const jsm = await (await stand.as('admin')).jsm();
  const sweeps = jest.spyOn((table as unknown as { kv: { history: () => unknown } }).kv, 'history');
  await table.create('web1', h1);
  const first = await table.entries();
  expect(await table.entries()).toEqual(first);
  expect(sweeps).toHaveBeenCalledTimes(1);
  first[0]!.value.host = 'changed by who asked';
  expect((await table.entries())[0]?.value).toEqual(h1);
  const other = await Table.open(await stand.as('service'), bucket, Place);
  const revision = await other.update('web1', h2, first[0]!.revision);
  expect(await table.entries()).toEqual([{ key: 'web1', value: h2, revision }]);
  await other.delete('web1', revision);
  expect(await table.entries()).toEqual([]);
  expect(sweeps).toHaveBeenCalledTimes(3);
  await jsm.streams.delete(`KV_${bucket}`);
  await expect(table.entries()).rejects.toMatchObject({ api_error: { code: 404 } });
});

test('whoever watches sees what is there and then each change', async () => {
  await table.create('web1', h1);
  const seen: Change<Place>[] = [];
  const watch = await table.watch();
  const done = (async () => {
    for await (const change of watch) seen.push(change);
  })();
  await eventually(() => seen.length, 1);
  const revision = await table.create('web2', h2);
  // One value is kept: of what changes twice before it is brought, the later is told.
  await eventually(() => seen.length, 2);
  await table.delete('web2', revision);
  await eventually(
    () => seen.map(({ key, value }) => [key, value]),
    [
      ['web1', h1],
      ['web2', h2],
      ['web2', undefined],
    ],
  );
  watch.stop();
  await done;
});

test.each(['{"host": 1}', '{"host"', '<domain/>', ''])(
  'a value %j is as good as none, and can be written over',
  async (text) => {
    const subject = `$KV.${bucket}.web1`;
    await bus.nc.request(subject, new TextEncoder().encode(text), { timeout: 30_000 });
    expect(await table.get('web1')).toBeUndefined();
    expect(await table.entries()).toEqual([]);
    await table.create('web1', h1);
    expect((await table.get('web1'))?.value).toEqual(h1);
    await expect(table.create('web1', h2)).rejects.toThrow(Conflict);
  },
);

test('a watch survives the death of the server', async () => {
  const seen = new Set<string>();
  const watch = await table.watch();
  void (async () => {
    for await (const { key } of watch) seen.add(key);
  })();
  await table.create('before', h1);
  await eventually(() => seen.has('before'), true);
  await stand.server.kill9();
  await stand.server.restart();
  const key = `after-${newId()}`;
  await eventually(() => table.create(key, h1).then(Boolean, (error) => error instanceof Conflict), true, {
    timeoutMs: 15_000,
  });
  await eventually(() => seen.has(key), true, { timeoutMs: 20_000 });
  watch.stop();
});
