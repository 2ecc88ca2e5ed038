/** Pools on block devices: file systems that are mounted while the pool runs, disks whose partitions are the volumes. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import {
  buildPool,
  createPool,
  createVolume,
  definePool,
  deleteVolume,
  listPools,
  listVolumes,
  refreshPool,
  startPool,
  stopPool,
  undefinePool,
} from '@virtbus/shared';
import { eventually, findProgram, requirement, Stack, temporaryFolder } from '@virtbus/testkit';
import { HostStorage, refusal } from './host-storage';

jest.setTimeout(120_000);

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

const mib = 1024 ** 2;

/** A block device of 64 MiB, gone when it is disposed of. */
function device(name: string): { path: string } & Disposable {
  const file = folder.file(name);
  writeFileSync(file, '');
  truncateSync(file, 64 * mib);
  const path = execFileSync('losetup', ['--partscan', '--find', '--show', file], { encoding: 'utf8' }).trim();
  return { path, [Symbol.dispose]: () => void execFileSync('losetup', ['--detach', path]) };
}

const needs = (...programs: string[]) =>
  requirement(`root, loop devices, ${programs.join(', ')}`, () => {
    if (process.getuid?.() !== 0 || [...programs, 'losetup'].some((program) => !findProgram(program))) return false;
    device('probe')[Symbol.dispose]();
    return true;
  });
const isMounted = (path: string): boolean => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${path} `);

needs('mkfs.ext4', 'blkid').test(
  'a file system is made, mounted while its pool runs, and found mounted after a crash',
  async () => {
    using disk = device('fs.img');
    const target = folder.file('mounted');
    const source = `<source><device path='${disk.path}'/><format type='ext4'/></source>`;
    const xml = `<pool type='fs'><name>fs</name>${source}<target><path>${target}</path></target></pool>`;
    await storage.ask(definePool, { xml });
    await storage.ask(buildPool, { pool: 'fs' });
    expect((await storage.refused(buildPool, { pool: 'fs' })).message).toMatch(/is not empty, it holds ext4/);
    await storage.ask(startPool, { pool: 'fs' });
    try {
      expect(isMounted(target)).toBe(true);
      await storage.qcow2('fs', 'a.qcow2', mib);
      await stack.restartStorage('h1');
      expect(await storage.volumes('fs')).toContain('a.qcow2');
      // Somebody has unmounted it: nothing is made in what lies below.
      execFileSync('umount', [target]);
      expect((await refusal(storage.volume('fs', 'b.raw'))).message).toContain(
        `nothing is mounted on ${target} any more`,
      );
      expect(readdirSync(target)).toEqual([]);
      execFileSync('mount', ['-t', 'ext4', disk.path, target]);
    } finally {
      await storage.ask(stopPool, { pool: 'fs' });
    }
    expect(isMounted(target)).toBe(false);
    // A second signature, of squashfs: blkid cannot tell what it is.
    const signatures = openSync(disk.path, 'r+');
    writeSync(signatures, Buffer.from('hsqs'), 0, 4, 0);
    writeSync(signatures, Buffer.from([4, 0, 0, 0]), 0, 4, 28);
    closeSync(signatures);
    expect((await storage.refused(buildPool, { pool: 'fs' })).message).toMatch(/blkid/);
    await storage.ask(undefinePool, { pool: 'fs' });
  },
);

needs('mkfs.ext4', 'blkid').test(
  'what a service that is killed has mounted is a pool of the next one; what cannot be kept is not mounted',
  async () => {
    using disk = device('killed.img');
    execFileSync('mkfs.ext4', ['-q', disk.path]);
    const [bin, mounts, target] = ['bin', 'mounts', 'killed'].map((name) => folder.file(name)) as [
      string,
      string,
      string,
    ];
    mkdirSync(bin);
    mkdirSync(target);
    // Mounts, tells of it, and then does not come back, the first time.
    const script = `#!/bin/sh\n${findProgram('mount')} "$@" || exit\n[ -e ${mounts} ] && exit\ntouch ${mounts}\nwhile kill -0 $PPID; do sleep 0.1; done\n`;
    writeFileSync(join(bin, 'mount'), script, { mode: 0o755 });
    await using own = await Stack.start({ env: { PATH: `${bin}:${process.env['PATH']}` } });
    const pools = new HostStorage(await own.connect());
    const document = {
      type: 'fs',
      source: { devices: [{ path: disk.path }], format: { type: 'ext4' } },
      target: { path: target },
    };
    try {
      const created = pools.ask(createPool, { document: { ...document, name: 'killed' } });
      created.catch(() => undefined);
      await eventually(() => existsSync(mounts), true);
      await own.restartStorage('h1');
      const { pools: found } = await pools.ask(listPools, {});
      expect(found).toMatchObject([{ name: 'killed', state: 'running', persistent: false }]);
      await pools.ask(stopPool, { pool: 'killed' });
      expect([isMounted(target), (await pools.ask(listPools, {})).pools]).toEqual([false, []]);

      const uuid = '5b5e2f6c-7a55-4a4e-9a0e-0d7f0d7f0d7e';
      // Nothing can be written in its place, as on a disk that is full.
      const record = join(own.folder.path, `state/hosts/h1/storage/pools/${uuid}.json`);
      mkdirSync(`${record}.part`);
      const refused = await pools.refused(createPool, { document: { ...document, name: 'unkept', uuid } });
      expect(refused).toMatchObject({
        code: 'SYSTEM_ERROR',
        message: expect.stringContaining(`cannot write ${record}`),
      });
      expect([isMounted(target), (await pools.ask(listPools, {})).pools]).toEqual([false, []]);
    } finally {
      if (isMounted(target)) execFileSync('umount', [target]);
    }
  },
);

needs('parted', 'blkid').test('partitions of a disk are volumes, made and deleted', async () => {
  using disk = device('disk.img');
  const source = `<source><device path='${disk.path}'/><format type='gpt'/></source>`;
  const xml = `<pool type='disk'><name>disk</name>${source}<target><path>/dev</path></target></pool>`;
  await storage.ask(definePool, { xml, build: 'new' });
  await storage.ask(startPool, { pool: 'disk' });
  const document = { name: 'first', capacity: 8 * mib };
  const { volume } = await storage.ask(createVolume, { pool: 'disk', document });
  expect(volume).toMatchObject({ name: `${disk.path.slice(5)}p1`, type: 'block', capacity: 8 * mib });
  const tooLarge = { name: 'second', capacity: 60 * mib };
  expect((await storage.refused(createVolume, { pool: 'disk', document: tooLarge })).message).toMatch(/no free space/);
  await storage.ask(deleteVolume, { volume: volume.path });
  // Each of two that are made at once is its own.
  const create = (name: string) => storage.ask(createVolume, { pool: 'disk', document: { name, capacity: 8 * mib } });
  const two = (await Promise.all(['one', 'two'].map(create))).map((made) => made.volume.path);
  expect(new Set(two).size).toBe(2);
  for (const path of two) await storage.ask(deleteVolume, { volume: path });
  expect((await storage.ask(listVolumes, { pool: 'disk' })).volumes).toEqual([]);
  // A table that cannot be read while storage begins: the pool has not stopped by that.
  const state = async () => (await storage.ask(listPools, {})).pools.find(({ name }) => name === 'disk')?.state;
  const held = readFileSync(disk.path);
  await stack.restartStorage('h1', async () => writeFileSync(disk.path, Buffer.alloc(held.length)));
  await eventually(state, 'inaccessible');
  writeFileSync(disk.path, held);
  await storage.ask(refreshPool, { pool: 'disk' });
  expect(await state()).toBe('running');
  await storage.ask(stopPool, { pool: 'disk' });
  await storage.ask(undefinePool, { pool: 'disk' });
});

needs('parted', 'blkid').test(
  'a partition that was not finished goes when its pool comes up; another that got its place since does not',
  async () => {
    using disk = device('unfinished.img');
    const source = `<source><device path='${disk.path}'/><format type='gpt'/></source>`;
    const xml = `<pool type='disk'><name>unfinished</name>${source}<target><path>/dev</path></target></pool>`;
    const { pool } = await storage.ask(definePool, { xml, build: 'new' });
    await storage.ask(startPool, { pool: pool.uuid });
    const paths: string[] = [];
    for (const name of ['first', 'second']) {
      const { volume } = await storage.ask(createVolume, { pool: pool.uuid, document: { name, capacity: 8 * mib } });
      paths.push(volume.path);
    }
    const [first, second] = paths;
    const notes = join(stack.folder.path, 'state/hosts/h1/storage/volumes-in-progress');
    const identity = `${mib}-${9 * mib - 1}`;
    const note = (id: string, path: string): void => {
      const device = { name: basename(path), path, identity };
      writeFileSync(join(notes, `${id}.json`), JSON.stringify({ pool: pool.uuid, device }));
    };
    // The first as it is; the second as one that lay elsewhere on the disk.
    await stack.restartStorage('h1', async () => {
      note('01', first!);
      note('02', second!);
    });
    const there = async (): Promise<string[]> => {
      const { volumes } = await storage
        .ask(refreshPool, { pool: pool.uuid })
        .then(() => storage.ask(listVolumes, { pool: pool.uuid }));
      return volumes.map(({ path }) => path);
    };
    await eventually(there, [second]);
    await eventually(() => readdirSync(notes).length, 0);
    // One that could not be taken away then, and has gone since.
    note('03', first!);
    const third = { name: 'third', capacity: 8 * mib };
    const { volume } = await storage.ask(createVolume, { pool: pool.uuid, document: third });
    expect(volume.path).toBe(first);
    await stack.restartStorage('h1');
    await eventually(there, [first, second]);
    await storage.ask(stopPool, { pool: pool.uuid });
    await storage.ask(undefinePool, { pool: pool.uuid });
  },
);
