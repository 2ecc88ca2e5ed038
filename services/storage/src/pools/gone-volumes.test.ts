/** What becomes of volumes whose files are gone, or may be. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emptyVolume, parsePool } from '@virtbus/domain-xml/storage';
import { createLog } from '@virtbus/shared/log';
import { GoneVolumes } from './gone-volumes';
import { ManagedPool } from './managed-pool';
import type { Pools } from './pools';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'vb-gone-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A pool that knows three volumes, all of them files. */
function stand() {
  const folder = join(root, 'pool');
  mkdirSync(folder);
  const xml = `<pool type='dir'><name>p</name><target><path>${folder}</path></target></pool>`;
  const pool = parsePool(xml);
  const managed = new ManagedPool('h1', { definition: pool, live: pool, autostart: false });
  const path = (name: string): string => join(folder, name);
  for (const name of ['a', 'b', 'c']) {
    writeFileSync(path(name), '');
    managed.put({ volume: { ...emptyVolume(name), target: { path: path(name) } } });
  }
  const told: unknown[] = [];
  const pools = {
    host: { log: createLog({ service: 'test', level: 'silent' }) },
    all: () => [managed],
    tell: (_managed: ManagedPool, type: string, _cause: unknown, data: { volume: string }) =>
      told.push(`${type} ${data.volume}`),
  } as unknown as Pools;
  const gone = new GoneVolumes(pools);
  const names = (): string[] => [...managed.volumes.keys()];
  return { folder, managed, path, told, gone, names };
}

test('a volume whose file is gone is dropped and told of; what is there stays, and so does what nobody asks for', async () => {
  const { gone, path, names, told } = stand();
  for (const name of ['a', 'b']) rmSync(path(name));
  await gone.lookFor([path('c'), path('a'), path('unknown'), '/elsewhere/b']);
  expect(names()).toEqual(['b', 'c']);
  await gone.lookFor([path('b')]);
  expect(names()).toEqual(['c']);
  expect(told).toEqual(['volume-deleted a', 'volume-deleted b']);
});

test('nothing goes with the folder of its pool, nor where the answer is another failure', async () => {
  const { gone, folder, path, names } = stand();
  rmSync(folder, { recursive: true });
  await gone.lookFor([path('a')]);
  writeFileSync(folder, 'a file');
  await gone.lookFor([path('b')]);
  expect(names()).toEqual(['a', 'b', 'c']);
});

test('what is being done with a volume says what becomes of it', async () => {
  const { gone, managed, path, names } = stand();
  rmSync(path('a'));
  await managed.job('a', 'deleted', () => gone.lookFor([path('a')]));
  expect(names()).toEqual(['a', 'b', 'c']);
});
