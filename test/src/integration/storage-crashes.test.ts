/** The storage service is killed in the middle of its work: every volume is as before or as asked, and nothing is left over. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import {
  abortMigration,
  cloneVolume,
  createPool,
  createVolume,
  createVolumeFrom,
  definePool,
  deleteVolume,
  getVolume,
  listPools,
  listVolumes,
  resizeVolume,
  startPool,
  stopPool,
  undefinePool,
  type Contract,
  type PoolSummary,
  type RequestInput,
} from '@virtbus/shared';
import { call, newId } from '@virtbus/shared/bus';
import { Stack, temporaryFolder, type TestProcess } from '@virtbus/testkit';
import { HostStorage, refusal } from './host-storage';

jest.setTimeout(180_000);

const folder = temporaryFolder();
const path = folder.file('pool');
let stack: Stack;
let storage: HostStorage;
beforeAll(async () => {
  stack = await Stack.start({ migrationServices: 1 });
  storage = new HostStorage(await stack.connect());
  await storage.pool('pool', path);
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const mib = 1024 ** 2;
const at = (name: string): string => folder.file('pool', name);
const capacityOf = async (name: string): Promise<number | undefined> =>
  (await storage.ask(listVolumes, { pool: 'pool' })).volumes.find((volume) => volume.name === name)?.capacity;

/** From before anything was done to after all of it, milliseconds. */
const moments = [3, 15, 40, 70, 120];

test.each(moments)('killed %i ms into create, clone, resize and delete', async (moment) => {
  const base = await storage.qcow2('pool', `base-${moment}`, 64 * mib);
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 5 0 24M', base.path]);
  await storage.qcow2('pool', `grows-${moment}`, 64 * mib);
  await storage.qcow2('pool', `goes-${moment}`, 64 * mib);

  const document = { name: `comes-${moment}`, capacity: 64 * mib, target: { format: { type: 'qcow2' } } };
  const growth = { pool: 'pool', volume: `grows-${moment}`, capacity: 64 * mib, delta: true };
  const commands = [
    command(createVolume, { pool: 'pool', document }),
    command(cloneVolume, { pool: 'pool', volume: base.name, name: `clone-${moment}` }),
    command(resizeVolume, growth),
    command(deleteVolume, { pool: 'pool', volume: `goes-${moment}` }),
  ];
  const asked = commands.map((give) => give());
  // Who was to answer is dead.
  for (const each of asked) each.catch(() => undefined);
  await sleep(moment);
  await stack.restartStorage('h1');

  expect([64 * mib, 128 * mib]).toContain(await capacityOf(`grows-${moment}`));
  expect([undefined, 64 * mib]).toContain(await capacityOf(`comes-${moment}`));
  expect([undefined, 64 * mib]).toContain(await capacityOf(`clone-${moment}`));
  if (existsSync(at(`clone-${moment}`))) {
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read -P 5 0 24M', at(`clone-${moment}`)]);
  }
  const files = readdirSync(path).sort();
  expect(files.filter((name) => name.startsWith('.virtbus'))).toEqual([]);
  expect(await storage.volumes('pool')).toEqual(files);
  for (const name of files) execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', at(name)]);

  // Whatever was done of them by then, each is done once.
  await Promise.all(commands.map((give) => give()));
  expect(await capacityOf(`grows-${moment}`)).toBe(128 * mib);
  const now = await storage.volumes('pool');
  expect(now).toEqual(expect.arrayContaining([`comes-${moment}`, `clone-${moment}`]));
  expect(now).not.toContain(`goes-${moment}`);
});

/** A command that is given as often as it is called, under one id. */
function command<C extends Contract>(c: C, request: RequestInput<C>, id = newId()): () => Promise<unknown> {
  return () => storage.ask(c, request, id);
}

/** Does it under an id whose answer cannot be kept, and gives it again to another process. */
async function twice<C extends Contract>(
  c: C,
  request: RequestInput<C>,
  meanwhile: () => Promise<void> = async () => undefined,
): Promise<{ first: unknown; again: Promise<unknown> }> {
  const id = newId();
  const inTheWay = join(stack.folder.path, `state/hosts/h1/storage/answered/${id}.json.part`);
  mkdirSync(inTheWay);
  const first = await storage.ask(c, request, id);
  await stack.restartStorage('h1');
  rmSync(inTheWay, { recursive: true });
  await meanwhile();
  return { first, again: storage.ask(c, request, id) };
}

/** What a pool's answer says that does not change with the space of the disk. */
function steady(answer: unknown): object {
  const { name, uuid, state, persistent } = (answer as { pool: PoolSummary }).pool;
  return { pool: { name, uuid, state, persistent } };
}

describe('a command whose answer was not kept is done once, and answered with what was done', () => {
  const pool = 'pool';

  test.each([
    ['qcow2', 64 * mib],
    ['raw', 64 * mib],
  ])('resize by a delta: %s', async (type, capacity) => {
    const name = `delta.${type}`;
    await storage.volume(pool, name, { capacity, target: { format: { type } } });
    const { again } = await twice(resizeVolume, { pool, volume: name, capacity: mib, delta: true });
    expect(await again).toMatchObject({ volume: { capacity: capacity + mib } });
    const less = { pool, volume: name, capacity: mib, delta: true, shrink: true };
    expect(await (await twice(resizeVolume, less)).again).toMatchObject({ volume: { capacity } });
    expect(await capacityOf(name)).toBe(capacity);
  });

  test('resize, where others have resized it since: nobody can tell any more, and nothing is done', async () => {
    await storage.qcow2(pool, 'others', 64 * mib);
    const ref = { pool, volume: 'others' };
    const { again } = await twice(resizeVolume, { ...ref, capacity: mib, delta: true }, async () => {
      await storage.ask(resizeVolume, { ...ref, capacity: 96 * mib });
    });
    expect(await refusal(again)).toMatchObject({ code: 'OPERATION_TIMEOUT' });
    expect(await capacityOf('others')).toBe(96 * mib);
  });

  test('create, of a file and of a folder, create-from and clone', async () => {
    const origin = (await storage.qcow2(pool, 'origin', 64 * mib)).name;
    const source = { pool, volume: origin };
    const makings = [
      await twice(createVolume, { pool, document: { name: 'new.raw', capacity: mib } }),
      await twice(createVolume, {
        pool,
        document: { name: 'new.dir', capacity: 0, target: { format: { type: 'dir' } } },
      }),
      await twice(createVolumeFrom, { pool, document: { name: 'from.raw' }, source }),
      await twice(cloneVolume, { ...source, name: 'cloned' }),
    ];
    for (const { first, again } of makings) expect(await again).toEqual(first);
  });

  test('define, start, stop and undefine of a pool; create and stop of one that has no definition', async () => {
    const document = { type: 'dir', name: 'kept', target: { path: folder.file('kept') } };
    const passing = { type: 'dir', name: 'passing', target: { path: folder.file('passing') } };
    const steps = [
      () => twice(definePool, { document, build: 'new' }),
      () => twice(startPool, { pool: 'kept' }),
      () => twice(stopPool, { pool: 'kept' }),
      () => twice(undefinePool, { pool: 'kept' }),
      () => twice(createPool, { document: passing, build: 'new' }),
      () => twice(stopPool, { pool: 'passing' }),
    ];
    for (const step of steps) {
      const { first, again } = await step();
      expect(await again).toMatchObject(steady(first));
    }
    expect((await storage.ask(listPools, {})).pools.map(({ name }) => name)).toEqual(['pool']);
  });

  test('create, where another one has taken the name since: that is told', async () => {
    const document = { name: 'name', capacity: mib };
    const { again } = await twice(createVolume, { pool, document }, async () => {
      await storage.ask(deleteVolume, { pool, volume: 'name' });
      await storage.volume(pool, 'name', { capacity: 2 * mib });
    });
    expect(await refusal(again)).toMatchObject({ code: 'VOLUME_EXISTS' });
  });

  test('delete, also where another one has taken the name since: that one stays', async () => {
    for (const name of ['goes', 'comes-again']) await storage.volume(pool, name);
    const { first, again } = await twice(deleteVolume, { pool, volume: 'goes' });
    expect(await again).toEqual(first);
    const former = await twice(deleteVolume, { pool, volume: 'comes-again' }, async () => {
      await storage.volume(pool, 'comes-again', { capacity: 5 * mib });
    });
    expect(await former.again).toEqual(former.first);
    const there = await storage.ask(getVolume, { pool, volume: 'comes-again' });
    expect(there.volume.capacity).toBe(5 * mib);
  });
});

describe('whoever waits for a process that was killed is answered by the next one, long before its time is up', () => {
  /** Gives a command to a process that does not begin it any more. */
  async function lost<T>(process: TestProcess, command: () => Promise<T>): Promise<Promise<T>[]> {
    process.kill('SIGSTOP');
    const asked = command();
    asked.catch(() => undefined);
    await nextTurn();
    await storage.bus.nc.flush();
    return [asked];
  }

  test('storage: what it asked for is done', async () => {
    await storage.qcow2('pool', 'waits', 64 * mib);
    const request = { pool: 'pool', volume: 'waits', capacity: mib, delta: true };
    const how = { target: 'h1', timeoutMs: 25_000 };
    const [asked] = await lost(stack.storages.get('h1')!, () => call(storage.bus, resizeVolume, request, how));
    await stack.restartStorage('h1');
    expect(await asked).toMatchObject({ volume: { capacity: 65 * mib } });
  });

  test('migration: also with an error', async () => {
    const how = { target: 'nobody', timeoutMs: 25_000 };
    const give = () => call(storage.bus, abortMigration, {}, how);
    const [asked] = await lost(stack.migrationServices[0]!, give);
    await stack.restartMigrationService(0);
    expect(await refusal(asked!)).toMatchObject({ code: 'MIGRATION_NOT_FOUND' });
  });
});
