/** Pools and volumes of one host, through its real storage service. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  buildPool,
  cloneVolume,
  createPool,
  createVolume,
  createVolumeFrom,
  definePool,
  deletePool,
  deleteVolume,
  downloadVolume,
  getPool,
  getPoolXml,
  getVolume,
  getVolumeXml,
  listPools,
  refreshPool,
  resizeVolume,
  setPoolAutostart,
  startPool,
  stopPool,
  storageEventFilter,
  undefinePool,
  uploadVolume,
  wipeVolume,
  type ErrorCode,
} from '@virtbus/shared';
import { clientStream, newId, RecordReader, records, tailStorage } from '@virtbus/shared/bus';
import { eventually, needsRoot, Stack, temporaryFolder } from '@virtbus/testkit';
import { HostStorage, refusal } from './host-storage';

jest.setTimeout(120_000);

const root = needsRoot();
const folder = temporaryFolder();
let stack: Stack;
let storage: HostStorage;
beforeAll(async () => {
  stack = await Stack.start();
  storage = new HostStorage(await stack.connect());
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const poolXml = (name: string, path: string): string =>
  `<pool type='dir'><name>${name}</name><target><path>${path}</path></target></pool>`;
const gib = 1024 ** 3;
/** How many files of volumes that are not finished there are. */
const hidden = (path: string): number => readdirSync(path).filter((name) => name.startsWith('.virtbus')).length;
const qemuInfo = (path: string): Record<string, unknown> =>
  JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path], { encoding: 'utf8' })) as Record<
    string,
    unknown
  >;

test('a pool is defined, built, started, found again after a crash, stopped, deleted and undefined', async () => {
  const path = folder.file('life');
  const { pool } = await storage.ask(definePool, { xml: poolXml('life', path) });
  expect(pool).toMatchObject({ state: 'inactive', persistent: true, autostart: false, path, type: 'dir' });
  expect((await storage.refused(startPool, { pool: 'life' })).message).toMatch(/no such file or folder/);
  await storage.ask(buildPool, { pool: 'life' });
  expect((await storage.ask(startPool, { pool: pool.uuid })).pool).toMatchObject({ state: 'running', volumes: 0 });
  await storage.ask(setPoolAutostart, { pool: 'life', autostart: true });
  writeFileSync(join(path, 'found.raw'), 'x'.repeat(1_000));
  await storage.ask(refreshPool, { pool: 'life' });

  await stack.restartStorage('h1');
  expect((await storage.ask(getPool, { pool: 'life' })).pool).toMatchObject({ state: 'running', volumes: 1 });
  const { xml } = await storage.ask(getPoolXml, { pool: 'life' });
  expect(xml).toMatch(/<capacity unit='bytes'>[1-9]/);
  expect((await storage.ask(getPoolXml, { pool: 'life', inactive: true })).xml).toMatch(/<capacity unit='bytes'>0</);
  expect((await storage.ask(listPools, { active: false })).pools).toEqual([]);
  expect((await storage.ask(listPools, { types: ['logical'] })).pools).toEqual([]);
  expect((await storage.refused(listPools, { types: ['dir', 'foo'] })).message).toMatch(/no pool is of type 'foo'/);

  expect((await storage.refused(undefinePool, { pool: 'life' })).message).toMatch(/is still active/);
  await storage.ask(stopPool, { pool: 'life' });
  expect((await storage.refused(deletePool, { pool: 'life' })).message).toMatch(/not empty/);
  execFileSync('rm', [join(path, 'found.raw')]);
  await storage.ask(deletePool, { pool: 'life' });
  expect(existsSync(path)).toBe(false);
  await storage.ask(undefinePool, { pool: 'life' });
  expect((await storage.refused(getPool, { pool: 'life' })).code).toBe('POOL_NOT_FOUND');
});

test('a pool that starts with its host and was stopped comes up with the next boot, and not because its service is started again', async () => {
  const { pool } = await storage.ask(definePool, { xml: poolXml('rests', folder.file('rests')), build: 'new' });
  const state = async () => (await storage.ask(getPool, { pool: 'rests' })).pool.state;
  await storage.ask(setPoolAutostart, { pool: 'rests', autostart: true });
  await stack.restartStorage('h1');
  expect(await state()).toBe('inactive');
  await storage.ask(startPool, { pool: 'rests' });
  await storage.ask(stopPool, { pool: 'rests' });
  await stack.restartStorage('h1');
  expect(await state()).toBe('inactive');
  const record = join(stack.folder.path, `state/hosts/h1/storage/pools/${pool.uuid}.json`);
  await stack.restartStorage('h1', async () => {
    const kept = JSON.parse(readFileSync(record, 'utf8')) as object;
    writeFileSync(record, JSON.stringify({ ...kept, bootId: 'of another boot' }));
  });
  expect(await state()).toBe('running');
  await storage.ask(stopPool, { pool: 'rests' });
  await storage.ask(undefinePool, { pool: 'rests' });
});

test('of pools that come at once and cannot both be there one does', async () => {
  const [one, two] = [folder.file('one'), folder.file('two')];
  const uuid = '5b5e2f6c-7a55-4a4e-9a0e-0d7f0d7f0d7f';
  const create = (name: string, path: string, more: object = {}): Promise<unknown> =>
    storage.ask(createPool, { document: { type: 'dir', name, target: { path }, ...more }, build: 'new' });
  symlinkSync(folder.path, folder.file('self'));
  const pairs = [
    () => [create('one', one, { uuid }), create('two', two, { uuid })],
    () => [create('one', one), create('two', one)],
    () => [create('one', one), create('two', join(folder.file('self'), 'one'))],
  ];
  for (const both of pairs) {
    const ended = await Promise.allSettled(both());
    expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const { pools } = await storage.ask(listPools, {});
    const [there, ...more] = pools.filter(({ name }) => name === 'one' || name === 'two');
    expect(more).toEqual([]);
    await storage.ask(stopPool, { pool: there!.uuid });
  }
});

describe('a pool that cannot be is refused in one clear line', () => {
  test.each([
    ['two\nlines', '/srv/vb-none', 'the name "two\\nlines" of a pool cannot contain newlines'],
    ['break', '/srv/vb\nnone', 'the target path "/srv/vb\\nnone" of a pool cannot contain newlines'],
    ['proc', '/proc/self/vb', "its target path '/proc/self/vb', which is /proc/"],
    ['sys', '/sys/vb', "its target path '/sys/vb' is the kernel's"],
    ['dev', '/dev', "its target path '/dev' is the kernel's"],
    ['dots', '/srv/../proc', "its target path '/srv/../proc', which is /proc, is the kernel's"],
  ])('%j at %j', async (name, path, words) => {
    const document = { type: 'dir', name, target: { path } };
    for (const c of [definePool, createPool]) {
      const { code, message } = await storage.refused(c, { document });
      expect([code, message]).toEqual(['INVALID_ARG', expect.stringContaining(words)]);
    }
    expect((await storage.ask(listPools, {})).pools.map((pool) => pool.name)).not.toContain(name);
  });

  test('where another one has its folder by another path, also when the link came later', async () => {
    const [path, link, later] = [folder.file('folder'), folder.file('link'), folder.file('later')];
    await storage.pool('folder', path);
    symlinkSync(path, link);
    const words = `Storage source conflict with pool: 'folder': ${link} and ${path} are one folder`;
    const conflict = { code: 'POOL_EXISTS', message: expect.stringContaining(words) as string };
    const document = { type: 'dir', name: 'link', target: { path: link } };
    expect(await storage.refused(definePool, { document })).toMatchObject(conflict);
    expect(await storage.refused(createPool, { document })).toMatchObject(conflict);
    await storage.ask(definePool, { xml: poolXml('later', later) });
    symlinkSync(path, later);
    expect((await storage.refused(startPool, { pool: 'later' })).code).toBe('POOL_EXISTS');
    await storage.ask(undefinePool, { pool: 'later' });
    await storage.ask(stopPool, { pool: 'folder' });
  });
});

test('what happens to pools and volumes is in the log of the fleet', async () => {
  await storage.pool('told', folder.file('told'));
  await storage.volume('told', 'a.raw');
  await storage.ask(deleteVolume, { pool: 'told', volume: 'a.raw' });
  await storage.ask(stopPool, { pool: 'told' });
  const types = async (): Promise<string[]> => {
    const found: string[] = [];
    const filter = storageEventFilter({ entity: 'pool', name: 'told' });
    for await (const { event } of tailStorage(storage.bus, { filter, since: 'all', once: true }))
      found.push(event.type);
    return found;
  };
  await eventually(types, ['started', 'volume-created', 'volume-deleted', 'stopped'], { timeoutMs: 20_000 });
});

describe('volumes', () => {
  const path = folder.file('volumes');
  beforeAll(() => storage.pool('volumes', path));

  test('of every format are made as they were asked for', async () => {
    const raw = await storage.volume('volumes', 'plain.raw', { capacity: 3_000_000, allocation: 3_000_000 });
    expect(raw).toMatchObject({ format: 'raw', capacity: 3_000_000, key: join(path, 'plain.raw'), encrypted: false });
    expect(raw.allocation).toBeGreaterThanOrEqual(3_000_000);
    expect((await storage.volume('volumes', 'sparse.raw', { capacity: 10 * gib })).allocation).toBe(0);
    const base = await storage.qcow2('volumes', 'base.qcow2', gib);
    const overlay = await storage.qcow2('volumes', 'overlay.qcow2', 2 * gib, base.path);
    expect(overlay).toMatchObject({ capacity: 2 * gib, backing: { path: base.path, format: 'qcow2' } });
    expect(qemuInfo(overlay.path)).toMatchObject({
      'backing-filename': base.path,
      'backing-filename-format': 'qcow2',
      'virtual-size': 2 * gib,
    });
    expect(statSync(overlay.path).mode & 0o777).toBe(0o600);
    const { xml } = await storage.ask(getVolumeXml, { pool: 'volumes', volume: 'overlay.qcow2' });
    expect(xml).toContain(`<backingStore>\n    <path>${base.path}</path>\n    <format type='qcow2'/>`);
  });

  test('are found by path and by key, on whatever pool they are', async () => {
    const { path: at } = await storage.volume('volumes', 'lost.raw');
    expect((await storage.ask(getVolume, { volume: at })).volume).toMatchObject({ name: 'lost.raw', pool: 'volumes' });
    expect((await storage.refused(getVolume, { volume: '/nowhere' })).code).toBe('VOLUME_NOT_FOUND');
  });

  test('can be encrypted, and copied with the passphrase', async () => {
    const document = {
      name: 'safe.luks',
      capacity: 2_097_152,
      allocation: 0,
      target: { encryption: { format: 'luks' } },
    };
    expect((await storage.refused(createVolume, { pool: 'volumes', document })).message).toMatch(
      /passphrase is needed/,
    );
    const { volume } = await storage.ask(createVolume, { pool: 'volumes', document, secret: 'sesame' });
    expect(volume).toMatchObject({ format: 'raw', encrypted: true, capacity: 2_097_152 });
    const opened = await storage.ask(createVolumeFrom, {
      pool: 'volumes',
      document: { name: 'opened.raw' },
      source: { pool: 'volumes', volume: 'safe.luks' },
      sourceSecret: 'sesame',
    });
    expect(opened.volume).toMatchObject({ format: 'raw', encrypted: false, capacity: 2_097_152 });
    const leftovers = readdirSync(join(stack.folder.path, 'state/hosts/h1/storage/volumes-in-progress'));
    expect(leftovers).toEqual([]);
  });

  test('are cloned with their content, and stand on nothing then', async () => {
    const base = await storage.qcow2('volumes', 'below.qcow2', gib);
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 1M 64k', base.path]);
    await storage.qcow2('volumes', 'above.qcow2', gib, base.path);
    const request = { pool: 'volumes', volume: 'above.qcow2', name: 'copy.qcow2' };
    const { volume } = await storage.ask(cloneVolume, request);
    expect(volume).toMatchObject({ format: 'qcow2', capacity: gib });
    expect(volume.backing).toBeUndefined();
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read -P 7 1M 64k', volume.path]);
  });

  test('are resized, wiped and deleted, but not while something stands on them', async () => {
    const base = await storage.qcow2('volumes', 'under.qcow2', gib);
    const over = await storage.qcow2('volumes', 'over.qcow2', gib, base.path);
    const ref = { pool: 'volumes', volume: 'under.qcow2' };
    const works = [
      () => storage.ask(deleteVolume, ref),
      () => storage.ask(resizeVolume, { ...ref, capacity: 2 * gib }),
      () => storage.ask(wipeVolume, ref),
      () => storage.upload('volumes', 'under.qcow2', Buffer.from('x')),
    ];
    for (const work of works) {
      const { code, message } = await refusal(work());
      expect([code, message]).toEqual(['IMAGE_IN_USE', expect.stringContaining('volumes/over.qcow2')]);
    }
    await storage.ask(deleteVolume, { volume: over.path });
    const resized = await storage.ask(resizeVolume, { ...ref, capacity: gib, delta: true });
    expect(resized.volume.capacity).toBe(2 * gib);
    expect((await storage.refused(resizeVolume, { ...ref, capacity: gib })).message).toMatch(/Can't shrink capacity/);
    expect((await storage.ask(resizeVolume, { ...ref, capacity: gib, shrink: true })).volume.capacity).toBe(gib);
    const wiped = await storage.ask(wipeVolume, ref);
    expect(wiped.volume.format).toBe('raw');
    expect(readFileSync(base.path).every((byte) => byte === 0)).toBe(true);
    await storage.ask(deleteVolume, ref);
    expect(existsSync(base.path)).toBe(false);
  });

  test('are not taken away while nobody can see what stands on them, and are what they were when they are back', async () => {
    const away = folder.file('overlays');
    await storage.pool('overlays', away);
    const base = await storage.qcow2('volumes', 'seen.qcow2', gib);
    const { path: overlay } = await storage.qcow2('overlays', 'unseen.qcow2', gib, base.path);
    // Its guest has written an image's header into it.
    const { path: raw } = await storage.volume('overlays', 'unseen.raw');
    writeFileSync(raw, readFileSync(overlay));
    const remove = () => refusal(storage.ask(deleteVolume, { pool: 'volumes', volume: 'seen.qcow2' }));
    expect((await remove()).message).toContain('overlays/unseen.qcow2');
    // As where a file system is not mounted: there is nothing, then an empty folder.
    renameSync(away, `${away}.away`);
    await refusal(storage.ask(refreshPool, { pool: 'overlays' }));
    expect(await remove()).toMatchObject({
      code: 'RESOURCE_BUSY',
      message: expect.stringContaining("pool 'overlays' cannot be looked into now") as string,
    });
    mkdirSync(away);
    await storage.ask(refreshPool, { pool: 'overlays' });
    expect(await storage.volumes('overlays')).toEqual([]);
    rmdirSync(away);
    renameSync(`${away}.away`, away);
    await storage.ask(refreshPool, { pool: 'overlays' });
    expect((await remove()).code).toBe('IMAGE_IN_USE');
    const { volume } = await storage.ask(getVolume, { pool: 'overlays', volume: 'unseen.raw' });
    expect(volume.format).toBe('raw');
    await storage.ask(stopPool, { pool: 'overlays' });
  });

  test('are filled from a stream and read as one, holes included', async () => {
    await storage.volume('volumes', 'filled.raw', { capacity: 8 * 1024 ** 2 });
    const content = Buffer.alloc(1_500_000, 'virtbus ');
    expect(await storage.upload('volumes', 'filled.raw', content, { hole: 4 * 1024 ** 2 })).toBe('complete');
    const { content: back, holes } = await storage.download('volumes', 'filled.raw');
    expect(back.length).toBe(8 * 1024 ** 2);
    expect(back.subarray(0, content.length).equals(content)).toBe(true);
    expect(back.subarray(content.length).every((byte) => byte === 0)).toBe(true);
    expect(holes).toBeGreaterThan(4 * 1024 ** 2);
  });

  test('an upload that is cut leaves the volume as it was', async () => {
    const { path: at } = await storage.volume('volumes', 'cut.raw', { capacity: 1_000_000 });
    writeFileSync(at, 'before');
    await storage.upload('volumes', 'cut.raw', Buffer.alloc(500_000, 'after'), { end: false });
    await eventually(() => hidden(path), 0);
    expect(readFileSync(at, 'utf8')).toBe('before');
    await eventually(() => storage.upload('volumes', 'cut.raw', Buffer.from('after')), 'complete');
  });

  test('a transfer that is asked for again under its id is the first one, and only that', async () => {
    await storage.volume('volumes', 'again.raw', { capacity: 1_000_000 });
    const ref = { pool: 'volumes', volume: 'again.raw' };
    const session = newId();
    const stream = clientStream(storage.bus, session, () => undefined);
    const ask = () => storage.ask(uploadVolume, { ...ref, session }, 'upload-1');
    const [place, beside] = await Promise.all([ask(), ask()]);
    expect(beside).toEqual(place);
    expect((await storage.refused(uploadVolume, { ...ref, session: newId() })).code).toBe('RESOURCE_BUSY');
    stream.connect(place.input);
    await stream.write(Buffer.concat([records.data(Buffer.from('whole')), records.end()]));
    expect(await stream.ended).toBe('complete');
    expect(await ask()).toEqual(place);

    const [down, got] = [newId(), [] as Uint8Array[]];
    const reader = new RecordReader({
      data: (bytes) => void got.push(bytes),
      hole: () => undefined,
      end: () => undefined,
    });
    const coming = clientStream(storage.bus, down, (bytes) => reader.push(bytes));
    const fetch = () => storage.ask(downloadVolume, { ...ref, session: down, length: 5 }, 'download-1');
    const [from, asWell] = await Promise.all([fetch(), fetch()]);
    expect(asWell).toEqual(from);
    expect(await coming.ended).toBe('complete');
    expect(await fetch()).toEqual(from);
    expect(Buffer.concat(got).toString()).toBe('whole');
    await eventually(() => storage.ask(deleteVolume, ref).then(() => true), true);
  });

  test('a raw volume of ours stays raw, whatever a guest writes into it', async () => {
    const { path: at } = await storage.volume('volumes', 'guest.raw');
    const evil = folder.file('evil.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-u', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', evil, '1M']);
    writeFileSync(at, readFileSync(evil));
    truncateSync(at, 1024 ** 2);
    await storage.ask(refreshPool, { pool: 'volumes' });
    const { volume } = await storage.ask(getVolume, { pool: 'volumes', volume: 'guest.raw' });
    expect(volume).toMatchObject({ format: 'raw', capacity: 1024 ** 2 });
    expect(volume.backing).toBeUndefined();
  });

  test('an image that came from elsewhere is shown as it is, and no program opens what it names', async () => {
    const overlay = folder.file('volumes', 'foreign.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-u', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', overlay, '1M']);
    const corrupt = Buffer.concat([Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), Buffer.alloc(600, 0xff)]);
    writeFileSync(folder.file('volumes', 'corrupt.qcow2'), corrupt);
    await storage.ask(refreshPool, { pool: 'volumes' });
    const { volume } = await storage.ask(getVolume, { pool: 'volumes', volume: 'corrupt.qcow2' });
    expect(volume.fault).toMatch(/is refused/);
    const clone = { pool: 'volumes', volume: 'corrupt.qcow2', name: 'copy-of-corrupt' };
    expect((await storage.refused(cloneVolume, clone)).message).toMatch(/is refused/);
    const shown = await storage.ask(getVolume, { pool: 'volumes', volume: 'foreign.qcow2' });
    expect(shown.volume.backing).toEqual({ path: '/etc/shadow', format: 'raw' });
  });

  test('a command that comes again is not done again', async () => {
    const document = { name: 'once.raw', capacity: 1024, allocation: 0 };
    const first = await storage.ask(createVolume, { pool: 'volumes', document }, 'once-1');
    expect(await storage.ask(createVolume, { pool: 'volumes', document }, 'once-1')).toEqual(first);
    expect((await storage.refused(createVolume, { pool: 'volumes', document })).code).toBe('VOLUME_EXISTS');
  });

  test.each(['once-2', 'once.3 of ü', 'once-4'.padEnd(300, '4')])(
    'an id is one command’s, whatever it is: %s',
    async (id) => {
      const document = { name: 'its.raw', capacity: 1024, allocation: 0 };
      const ref = { pool: 'volumes', volume: document.name };
      const first = storage.ask(createVolume, { pool: 'volumes', document }, id);
      const reused = { code: 'INVALID_ARG', message: expect.stringContaining('was used for volume-create before') };
      await expect(storage.ask(deleteVolume, ref, id)).rejects.toMatchObject(reused);
      const made = await first;
      await expect(storage.ask(deleteVolume, ref, id)).rejects.toMatchObject(reused);
      await storage.ask(deleteVolume, ref);
      expect(await storage.ask(createVolume, { pool: 'volumes', document }, id)).toEqual(made);
      expect(await storage.volumes('volumes')).not.toContain(document.name);
    },
  );
});

describe('what is wrong is refused with one clear error, and leaves nothing behind', () => {
  const path = folder.file('wrong');
  beforeAll(() => storage.pool('wrong', path));
  afterEach(() => expect(readdirSync(path)).toEqual([]));

  const volume = (name: string, capacity: string, target = ''): string =>
    `<volume><name>${name}</name><capacity>${capacity}</capacity><target>${target}</target></volume>`;
  const wrong: [string, string, ErrorCode][] = [
    ['a name with a slash', volume('../x', '1024'), 'INVALID_ARG'],
    ['a name of dots', volume('..', '1024'), 'INVALID_ARG'],
    ['a name that is too long', volume('x'.repeat(256), '1024'), 'INVALID_ARG'],
    ['no name', volume('', '1024'), 'XML_ERROR'],
    ['capacity 0', volume('a', '0'), 'INVALID_ARG'],
    ['capacity 2^63', volume('a', '9223372036854775808'), 'OVERFLOW'],
    ['a negative capacity', volume('a', '-1'), 'OVERFLOW'],
    ['an unknown format', volume('a', '1024', "<format type='floppy'/>"), 'XML_ERROR'],
    ['a format that nobody can make', volume('a', '1024', "<format type='bochs'/>"), 'CONFIG_UNSUPPORTED'],
    ['no XML', 'hello', 'XML_DETAIL'],
  ];
  test.each(wrong)('a volume with %s', async (_what, xml, code) => {
    expect((await storage.refused(createVolume, { pool: 'wrong', xml })).code).toBe(code);
  });

  test('a backing store that is not there, or is not what it is said to be', async () => {
    const other = folder.file('other.raw');
    writeFileSync(other, 'nothing');
    for (const backing of ['/no/such/image', other, '/dev/null', '/proc/self/mem', 'relative.qcow2']) {
      expect((await refusal(storage.qcow2('wrong', 'a', gib, backing))).message).toMatch(/backing store|image|cannot/i);
    }
  });

  const pools: [string, string, ErrorCode][] = [
    ['a name with a slash', poolXml('a/b', '/srv'), 'XML_ERROR'],
    ['no target', "<pool type='dir'><name>a</name></pool>", 'XML_ERROR'],
    ['a relative target', poolXml('a', 'images'), 'XML_ERROR'],
    ['an unknown type', "<pool type='floppy'><name>a</name></pool>", 'XML_ERROR'],
    ['the folder of another pool', poolXml('a', path), 'POOL_EXISTS'],
    ['the name of another pool', poolXml('wrong', '/srv/elsewhere'), 'POOL_EXISTS'],
  ];
  test.each(pools)('a pool with %s', async (_what, xml, code) => {
    expect((await storage.refused(definePool, { xml })).code).toBe(code);
  });

  test('a pool of a type that nobody here can run is defined, shown, and not started', async () => {
    const source = "<source><host name='ceph1'/><name>rbd</name></source>";
    await storage.ask(definePool, { xml: `<pool type='rbd'><name>far</name>${source}</pool>` });
    const { code, message } = await storage.refused(startPool, { pool: 'far' });
    expect([code, message]).toEqual([
      'OPERATION_UNSUPPORTED',
      expect.stringContaining('not supported yet on this host'),
    ]);
    await storage.ask(undefinePool, { pool: 'far' });
  });

  test('a folder that is a file', async () => {
    const file = folder.file('file');
    writeFileSync(file, '');
    await storage.ask(definePool, { xml: poolXml('file', file) });
    expect((await storage.refused(startPool, { pool: 'file' })).message).toMatch(/not a folder/);
    await storage.ask(undefinePool, { pool: 'file' });
  });

  root.test('a folder that nobody may write', async () => {
    const at = folder.file('immutable');
    mkdirSync(at);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'virtbus-test', at]);
    try {
      execFileSync('mount', ['-o', 'remount,ro', at]);
      await storage.pool('immutable', at);
      expect((await refusal(storage.volume('immutable', 'a.raw'))).message).toMatch(/read-only/);
      await storage.ask(stopPool, { pool: 'immutable' });
    } finally {
      execFileSync('umount', [at]);
    }
  });

  root.test('a disk that is full', async () => {
    const at = folder.file('full');
    mkdirSync(at);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'virtbus-test', at]);
    try {
      await storage.pool('full', at);
      const whole = { capacity: 8 * 1024 ** 2, allocation: 8 * 1024 ** 2 };
      expect((await refusal(storage.volume('full', 'a.raw', whole))).message).toMatch(/no space left/i);
      await storage.volume('full', 'b.raw', { capacity: 8 * 1024 ** 2 });
      const content = Buffer.alloc(4 * 1024 ** 2, 1);
      expect(await storage.upload('full', 'b.raw', content)).toMatch(/no space left/i);
      await eventually(() => hidden(at), 0);
      expect(readdirSync(at)).toEqual(['b.raw']);
      const larger = { pool: 'full', volume: 'b.raw', capacity: 16 * 1024 ** 2, allocate: true };
      expect((await storage.refused(resizeVolume, larger)).message).toMatch(/no space left/i);
      expect(statSync(join(at, 'b.raw'))).toMatchObject({ size: 8 * 1024 ** 2, blocks: 0 });
      await storage.ask(stopPool, { pool: 'full' });
    } finally {
      execFileSync('umount', [at]);
    }
  });
});

test('who may only read can see everything and change nothing', async () => {
  const reader = new HostStorage(await stack.connect('reader'));
  await storage.pool('seen', folder.file('seen'));
  expect((await reader.ask(getPool, { pool: 'seen' })).pool.state).toBe('running');
  expect((await reader.refused(stopPool, { pool: 'seen' })).code).toBe('ACCESS_DENIED');
});
