/** What a host mounts for its containers: file systems in images, and nodes of devices that belong to the container. */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { attachDevice, defineDomain, destroyDomain, detachDevice, rebootDomain, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, Stack } from '@virtbus/testkit';
import { kindsOfContainers, shownInside } from './lxc-command';

const containers = needsContainers();
const mib = 1024 ** 2;

describe.each(kindsOfContainers)('%s', (_kind, subIds) => {
  let stack: Stack;
  let bus: Bus;
  const inside = async (uuid: string, ...words: string[]): Promise<string> =>
    (await shownInside(bus, uuid, ...words)).trim();
  const mounts = (): string[] =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(` ${stack.folder.path}/`));
  const loopsOf = (file: string): string =>
    execFileSync('losetup', ['--noheadings', '--output', 'NAME', '--associated', file], { encoding: 'utf8' }).trim();

  beforeAll(async () => {
    if (!containers.met) return;
    stack = await Stack.start({ hosts: [], lxcHosts: ['c1'], env: { VIRTBUS_LXC_SUBIDS: subIds } });
    bus = await stack.connect();
  }, 60_000);
  afterAll(async () => stack?.[Symbol.asyncDispose]());

  containers.test(
    'an image is mounted below the root, across reboots and our own restarts, and keeps what was written',
    async () => {
      const file = stack.folder.file('data.img');
      execFileSync('mkfs.ext4', ['-q', file, '8M']);
      const filesystem = (dir: string, more = ''): string =>
        `<filesystem type='file'><driver type='loop' format='raw'/><source file='${file}'/><target dir='${dir}'/>${more}</filesystem>`;
      const devices = `${filesystem('/data')}${filesystem('/again', '<readonly/>')}`;
      const { uuid } = await stack.runContainer(bus, { name: `image${subIds.length}`, devices });
      await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
      expect(await inside(uuid, 'sh', '-c', 'echo kept >/data/file && stat -c %u:%g /data /data/file')).toBe(
        '0:0\n0:0',
      );
      expect(await inside(uuid, 'sh', '-c', 'cat /again/file; echo no >/again/file')).toMatch(/Read-only file system/);
      const init = stack.containerInit(uuid);
      await call(bus, rebootDomain, {}, { target: uuid });
      await eventually(() => stack.containerInit(uuid) === init, false);
      await eventually(() => inside(uuid, 'cat', '/data/file').catch(String), 'kept');
      await stack.restartDriver('c1');
      expect(await inside(uuid, 'cat', '/data/file')).toBe('kept');
      expect(mounts().filter((line) => line.includes('/image'))).toHaveLength(1);
      await call(bus, destroyDomain, {}, { target: uuid });
      expect(mounts()).toEqual([]);
      // The kernel lets go of a loop device a moment after its last mount.
      await eventually(() => loopsOf(file), '');
      expect(readdirSync(stack.folder.path).filter((name) => name.endsWith('.mounts'))).toEqual([]);
      expect(execFileSync('debugfs', ['-R', 'cat /file', file], { encoding: 'utf8', stdio: 'pipe' })).toBe('kept\n');
    },
    120_000,
  );

  containers.test(
    'containers that start at once on one image share it',
    async () => {
      const file = stack.folder.file('both.img');
      execFileSync('mkfs.ext4', ['-q', file, '8M']);
      const devices = `<filesystem type='file'><driver type='loop' format='raw'/><source file='${file}'/><target dir='/data'/></filesystem>`;
      const started = ['one', 'two', 'three'].map((name) =>
        stack.runContainer(bus, { name: `${name}${subIds.length}`, devices }),
      );
      const all = await Promise.all(started);
      expect(loopsOf(file).split('\n')).toHaveLength(1);
      const [first, second] = all.map(({ uuid }) => uuid) as [string, string];
      expect(await inside(first, 'sh', '-c', 'echo kept >/data/file')).toBe('');
      expect(await inside(second, 'cat', '/data/file')).toBe('kept');
      for (const { uuid } of all) await call(bus, destroyDomain, {}, { target: uuid });
      expect(mounts()).toEqual([]);
      await eventually(() => loopsOf(file), '');
      expect(execFileSync('debugfs', ['-R', 'cat /file', file], { encoding: 'utf8', stdio: 'pipe' })).toBe('kept\n');
    },
    120_000,
  );

  containers.test(
    "the root may be in an image, with ids of its own or the host's, across reboots",
    async () => {
      const file = stack.folder.file('root.img');
      const named = (await stack.containerXml({ name: `root${subIds.length}` })).replace(
        /<filesystem type='mount'><source dir='([^']*)'\/><target dir='\/'\/>/,
        (_all, dir: string) => {
          execFileSync('mkfs.ext4', ['-q', '-d', dir, file, '64M']);
          return `<filesystem type='file'><driver type='loop' format='raw'/><source file='${file}'/><target dir='/'/>`;
        },
      );
      const { domain } = await call(bus, defineDomain, { xml: named });
      const { uuid } = domain;
      await call(bus, startDomain, {}, { target: uuid });
      await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
      expect(await inside(uuid, 'sh', '-c', 'echo kept >/root/file && stat -c %u:%g /etc /root/file')).toBe('0:0\n0:0');
      // Its root is nobody's of the host, though the document says nothing of it.
      const map = await inside(uuid, 'cat', '/proc/self/uid_map');
      expect(map.trim().split(/\s+/)[1]).toBe(subIds === 'none' ? '0' : '300000');
      const init = stack.containerInit(uuid);
      await call(bus, rebootDomain, {}, { target: uuid });
      await eventually(() => stack.containerInit(uuid) === init, false);
      const after = (): Promise<string> =>
        inside(uuid, 'sh', '-c', 'cat /root/file; stat -c %u:%g /root/file; touch /root/more').catch(String);
      await eventually(after, 'kept\n0:0');
      await stack.restartDriver('c1');
      await call(bus, destroyDomain, {}, { target: uuid });
      expect(mounts()).toEqual([]);
      await eventually(() => loopsOf(file), '');
      expect(readdirSync(stack.folder.path).filter((name) => name.endsWith('.mounts'))).toEqual([]);
      expect(execFileSync('debugfs', ['-R', 'stat /root/more', file], { encoding: 'utf8', stdio: 'pipe' })).toContain(
        'User:     0',
      );
    },
    120_000,
  );

  containers.test(
    "a device is the container's own to open, from its start and while it runs, and the host's node stays as it was",
    async () => {
      const file = stack.folder.file('disk.img');
      writeFileSync(file, Buffer.alloc(mib, 'a'));
      const device = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();
      const owner = (): string => execFileSync('stat', ['-c', '%u:%g %a', device], { encoding: 'utf8' });
      const before = owner();
      try {
        const block = `<hostdev mode='capabilities' type='storage'><source><block>${device}</block></source></hostdev>`;
        const { uuid } = await stack.runContainer(bus, { name: `disk${subIds.length}`, devices: block });
        expect(await inside(uuid, 'head', '-c', '3', device)).toBe('aaa');
        expect(await inside(uuid, 'sh', '-c', `printf bbb | dd of=${device} conv=fsync 2>/dev/null`)).toBe('');
        await eventually(() => readFileSync(device).subarray(0, 4).toString(), 'bbba');
        const tun = "<hostdev mode='capabilities' type='misc'><source><char>/dev/net/tun</char></source></hostdev>";
        await call(bus, attachDevice, { xml: tun, affect: 'live' }, { target: uuid });
        expect(await inside(uuid, 'sh', '-c', 'exec 3<>/dev/net/tun && echo open')).toBe('open');
        await call(bus, detachDevice, { xml: tun, affect: 'live' }, { target: uuid });
        expect(await inside(uuid, 'sh', '-c', '[ -c /dev/net/tun ] || echo none')).toBe('none');
        await call(bus, destroyDomain, {}, { target: uuid });
        expect(mounts()).toEqual([]);
        expect(owner()).toBe(before);
      } finally {
        execFileSync('losetup', ['--detach', device]);
        rmSync(file);
      }
    },
    120_000,
  );
});
