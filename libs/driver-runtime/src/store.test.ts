import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { DomainSummary } from '@virtbus/shared';
import type { DomainRecord, Tombstone } from './record';
import { Store } from './store';

const uuid = 'c7a5fdbd-edaf-9455-926a-d65c16db1809';
const other = '00000000-0000-4000-8000-000000000002';
const record = (more: Partial<DomainRecord> = {}): DomainRecord => ({
  version: 1,
  uuid,
  name: 'web1',
  epoch: 1,
  revision: 3,
  id: -1,
  state: 'shutoff',
  reason: 'unknown',
  persistent: true,
  autostart: false,
  answered: [],
  ...more,
});
const tombstone = (): Tombstone => ({
  uuid,
  name: 'web1',
  epoch: 1,
  revision: 9,
  answered: [{ id: 'c1', operation: 'undefine', response: {} }],
  summary: {} as DomainSummary,
});

let root: string;
let store: Store;
const again = (): Store => new Store(join(root, 'state'), join(root, 'run'));
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'vb-store-'));
  store = again();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('the store', () => {
  test('gives back what it was given, and no other user can read it', () => {
    store.makeFolderOf(uuid);
    store.saveRecord(record());
    store.saveDocument(uuid, 'config', '<domain/>', true);
    expect(again().load(false)).toEqual({ records: [record()], damaged: [] });
    expect(again().loadDocument(uuid, 'config')).toBe('<domain/>');
    expect(again().loadDocument(uuid, 'live')).toBeUndefined();
    for (const path of [store.folderOf(uuid), join(store.folderOf(uuid), 'record.json')]) {
      expect(statSync(path).mode & 0o077).toBe(0);
    }
    store.dropDocument(uuid, 'config');
    store.dropDocument(uuid, 'config');
    expect(store.loadDocument(uuid, 'config')).toBeUndefined();
  });

  test.each(['', '{', 'null', '{}', JSON.stringify(record({ uuid: other })), '{"uuid": "x"}'])(
    'names a record that reads %j and leaves it as it is; the others load',
    (text) => {
      store.makeFolderOf(uuid);
      writeFileSync(join(store.folderOf(uuid), 'record.json'), text);
      store.makeFolderOf(other);
      store.saveRecord(record({ uuid: other }));
      const { records, damaged } = again().load(false);
      expect(records.map((one) => one.uuid)).toEqual([other]);
      expect(damaged).toEqual([{ uuid, why: expect.any(String) as string }]);
      expect(readFileSync(join(store.folderOf(uuid), 'record.json'), 'utf8')).toBe(text);
    },
  );

  test.each(['', '\0\0\0', undefined])(
    'takes a domain as a user has last set it when a power cut has left %j of its record',
    (text) => {
      store.makeFolderOf(uuid);
      store.establish(record({ revision: 7 }));
      store.saveRecord(record({ revision: 8 }));
      expect(again().load(true)).toEqual({ records: [record({ revision: 8 })], damaged: [] });
      const path = join(store.folderOf(uuid), 'record.json');
      if (text === undefined) rmSync(path);
      else writeFileSync(path, text);
      expect(again().load(true)).toEqual({ records: [record({ revision: 7 })], damaged: [] });
      // In the same boot its guest may run.
      expect(again().load(false).damaged).toHaveLength(1);
    },
  );

  test('removes a folder that a crash left empty, and passes over a file that is none of its own', () => {
    store.makeFolderOf(uuid);
    writeFileSync(join(root, 'state', 'domains', 'notes.txt'), 'x');
    expect(again().load(false).records).toEqual([]);
    expect(existsSync(store.folderOf(uuid))).toBe(false);
    expect(existsSync(join(root, 'state', 'domains', 'notes.txt'))).toBe(true);
  });

  test('keeps the answers of a domain that has gone for a day', () => {
    store.makeFolderOf(uuid);
    store.saveRecord(record());
    store.bury(tombstone());
    expect(existsSync(store.folderOf(uuid))).toBe(false);
    expect(again().tombstones()).toEqual([tombstone()]);
    const path = join(root, 'state', 'gone', `${uuid}.json`);
    const yesterday = new Date(Date.now() - 86_400_001);
    utimesSync(path, yesterday, yesterday);
    expect(again().tombstones()).toEqual([]);
    expect(existsSync(path)).toBe(false);
  });

  test('forgets a tombstone when its domain is back, and passes over one that cannot be read', () => {
    store.bury(tombstone());
    writeFileSync(join(root, 'state', 'gone', `${other}.json`), '{"uuid"');
    expect(again().tombstones()).toHaveLength(1);
    store.exhume(uuid);
    expect(again().tombstones()).toEqual([]);
  });

  test('finds a tombstone of which a crash left only the new name, until its domain is back', () => {
    store.bury(tombstone());
    const path = join(root, 'state', 'gone', `${uuid}.json`);
    renameSync(path, `${path}.new`);
    expect(again().tombstones()).toEqual([tombstone()]);
    store.exhume(uuid);
    expect(again().tombstones()).toEqual([]);
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  test('forgets one of which only the new name is left after a day as well', () => {
    store.bury(tombstone());
    const path = join(root, 'state', 'gone', `${uuid}.json`);
    renameSync(path, `${path}.new`);
    const yesterday = new Date(Date.now() - 86_400_001);
    utimesSync(`${path}.new`, yesterday, yesterday);
    expect(again().tombstones()).toEqual([]);
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  test('has one uuid for the host, for ever, also where a power cut has left nothing else of it; one that cannot be read is replaced', () => {
    const host = { ...store.loadHost(), lastId: 7, bootId: 'b', boots: 3 };
    store.saveBoot(host);
    store.saveHost(host);
    expect(again().loadHost()).toEqual(host);
    writeFileSync(join(root, 'state', 'host.json'), '\0\0');
    expect(again().loadHost()).toEqual({ ...host, lastId: 0 });
    writeFileSync(join(root, 'state', 'boot.json'), '{"uuid":');
    expect(again().loadHost().uuid).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('reads the record of a host of the last release', () => {
    const former = { uuid, lastId: 7, bootId: 'b', since: 5, toStart: [other] };
    writeFileSync(join(root, 'state', 'host.json'), JSON.stringify(former));
    expect(again().loadHost()).toEqual({ ...former, boots: 0 });
  });

  test('makes names that cannot leave their folder, and socket paths that fit', () => {
    expect(store.logOf('../../etc/passwd', uuid)).toBe(join(root, 'state', 'log', '.._.._etc_passwd-c7a5fdbd.log'));
    expect(store.logOf('x'.repeat(300), uuid).length).toBeLessThan(root.length + 100);
    expect(store.runFolderOf(uuid).length).toBe(join(root, 'run').length + 21);
    expect(store.runFolderOf(uuid)).not.toBe(store.runFolderOf(other));
  });
});
