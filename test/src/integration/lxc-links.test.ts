/** Links that a container's root has put where its host looks, to lead the host out of what it was given. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachDevice, defineDomain, destroyDomain, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, Stack, tinyRootfs } from '@virtbus/testkit';
import { kindsOfContainers, runInside, shownInside } from './lxc-command';
import { beginReboot, reboot } from './lxc-rebooting';

const containers = needsContainers();

describe.each(kindsOfContainers)('%s', (_kind, subIds) => {
  let stack: Stack;
  let bus: Bus;
  /** Of the host alone. */
  let secret: string;
  beforeAll(async () => {
    if (!containers.met) return;
    stack = await Stack.start({ hosts: [], lxcHosts: ['c1'], env: { VIRTBUS_LXC_SUBIDS: subIds } });
    bus = await stack.connect();
    secret = stack.folder.file('secret');
    mkdirSync(secret);
    writeFileSync(join(secret, 'file'), 'the host’s\n');
  }, 60_000);
  afterAll(async () => stack?.[Symbol.asyncDispose]());

  const filesystem = (type: string, source: string, target: string): string =>
    `<filesystem type='${type}'><source dir='${source}'/><target dir='${target}'/></filesystem>`;
  const rootOf = (name: string): Promise<string> => tinyRootfs(stack.folder.file(name));
  const run = async (name: string, root: string, devices = ''): Promise<string> => {
    const { uuid } = await stack.runContainer(bus, { name, root, devices });
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
    return uuid;
  };
  const defined = async (name: string, root: string, devices: string): Promise<string> =>
    (await call(bus, defineDomain, { xml: await stack.containerXml({ name, root, devices }) })).domain.uuid;
  const start = (uuid: string) => call(bus, startDomain, {}, { target: uuid });
  const destroy = (uuid: string) => call(bus, destroyDomain, {}, { target: uuid });

  containers.test(
    'what it sees at a second place is its own, whatever links it makes',
    async () => {
      const root = await rootOf('twice');
      mkdirSync(join(root, 'data'));
      const uuid = await run('twice', root, filesystem('bind', '/data', '/mnt/data'));
      await runInside(bus, uuid, [
        'sh',
        '-c',
        `touch /data/kept; ls /mnt/data; mv /data /former; ln -s ${secret} /data`,
      ]);
      await beginReboot(stack.containerInit(uuid));
      // One that cannot be booted has ended.
      const seen = async (): Promise<string> => {
        const shown = await shownInside(bus, uuid, 'cat', '/mnt/data/file').catch(() => '');
        return shown.includes('host’s') ? shown : stack.state(bus, uuid);
      };
      expect(await eventually(seen, (what) => /^shutoff|host’s/.test(what))).toMatch(/^shutoff/);
      await expect(start(uuid)).rejects.toThrow(/cannot start/);
      rmSync(join(root, 'data'));
      symlinkSync('former', join(root, 'data'));
      await start(uuid);
      expect(await shownInside(bus, uuid, 'ls', '/mnt/data')).toBe('kept\n');
      await destroy(uuid);
    },
    120_000,
  );

  containers.test(
    'what leads through its own links is found as it finds it, at each boot',
    async () => {
      const root = await rootOf('linking');
      mkdirSync(join(root, 'inner'));
      writeFileSync(join(root, 'inner', 'file'), 'its own\n');
      symlinkSync('/inner', join(root, 'link'));
      const uuid = await run('linking', root, filesystem('bind', '/link/file', '/mnt/name'));
      expect(await shownInside(bus, uuid, 'cat', '/mnt/name')).toBe('its own\n');
      await reboot(stack, uuid);
      await eventually(() => shownInside(bus, uuid, 'cat', '/mnt/name'), 'its own\n');
      await destroy(uuid);
    },
    120_000,
  );

  containers.test(
    'a folder or a file in what another container can write is not led elsewhere: at a start, a reboot, or later',
    async () => {
      const shared = stack.folder.file('shared');
      mkdirSync(join(shared, 'sub'), { recursive: true });
      for (const name of ['file', 'sub/file']) writeFileSync(join(shared, name), 'shared\n');
      const one = await run('one', await rootOf('one'), filesystem('mount', shared, '/shared'));
      const root = await rootOf('other');
      const devices = [filesystem('mount', `${shared}/sub`, '/sub'), filesystem('mount', `${shared}/file`, '/file')];
      const other = await run('other', root, devices.join(''));
      const lead = ['ln', '-s'].join(' ');
      const script = `cd /shared && mv sub former && mv file name && ${lead} ${secret} sub && ${lead} ${secret}/file file`;
      expect((await runInside(bus, one, ['sh', '-c', script])).code).toBe(0);
      await reboot(stack, other);
      await eventually(() => shownInside(bus, other, 'cat', '/sub/file', '/file'), 'shared\nshared\n');
      const late = filesystem('mount', `${shared}/sub`, '/late');
      const attach = call(bus, attachDevice, { xml: late, affect: 'live' }, { target: other });
      await expect(attach).rejects.toThrow(/leads through a link/);
      await destroy(other);
      await expect(start(other)).rejects.toThrow(/leads through a link/);
      // Nor once it has stopped, and is forgotten by who has started anew.
      await destroy(one);
      await stack.restartDriver('c1');
      await expect(start(other)).rejects.toThrow(/leads through a link/);
      renameSync(join(shared, 'former'), join(shared, 'folder'));
      const named = filesystem('mount', `${shared}/folder`, '/sub');
      const uuid = await defined('named', root, named);
      await start(uuid);
      expect(await shownInside(bus, uuid, 'cat', '/sub/file')).toBe('shared\n');
      await destroy(uuid);
    },
    120_000,
  );

  containers.test(
    'a root file system in what another container can write boots as it was at the start; an image there is refused',
    async () => {
      const shared = stack.folder.file('roots');
      const root = await rootOf('roots/sub');
      mkdirSync(join(root, 'data'));
      writeFileSync(join(root, 'data', 'file'), 'its own\n');
      const keeper = await run('keeper', await rootOf('keeper'), filesystem('mount', shared, '/shared'));
      const uuid = await run('nested', root, filesystem('bind', '/data', '/mnt/data'));
      const script = `cd /shared && mv sub former && ln -s / sub`;
      expect((await runInside(bus, keeper, ['sh', '-c', script])).code).toBe(0);
      await reboot(stack, uuid);
      await eventually(() => shownInside(bus, uuid, 'cat', '/mnt/data/file'), 'its own\n');
      expect(await shownInside(bus, uuid, 'stat', '-c', '%u', '/etc')).toBe('0\n');
      await destroy(uuid);
      await expect(start(uuid)).rejects.toThrow(/leads through a link/);
      writeFileSync(join(shared, 'image'), '');
      const image = `<filesystem type='file'><driver type='loop' format='raw'/><source file='${shared}/image'/><target dir='/i'/></filesystem>`;
      const imaged = await defined('imaged', await rootOf('imaged'), image);
      await expect(start(imaged)).rejects.toThrow(/an image, '.*', lies in '.*roots'/);
      const left = (): string[] =>
        readFileSync('/proc/self/mountinfo', 'utf8')
          .split('\n')
          .filter((line) => line.includes(`${stack.folder.path}/r/`) && !line.includes(keeper.slice(-12)));
      expect(left()).toEqual([]);
      await destroy(keeper);
    },
    120_000,
  );

  containers.test(
    'the log of a console in what it can write is refused: its host would write wherever a link leads',
    async () => {
      const root = await rootOf('logged');
      const xml = (await stack.containerXml({ name: 'logged', root })).replace(
        "<console type='pty'/>",
        `<console type='pty'><log file='${root}/var/console.log'/></console>`,
      );
      mkdirSync(join(root, 'var'), { recursive: true });
      symlinkSync(join(secret, 'file'), join(root, 'var', 'console.log'));
      const { uuid } = (await call(bus, defineDomain, { xml })).domain;
      await expect(start(uuid)).rejects.toThrow(/the log of a console, '.*', lies in '.*logged'/);
      expect(readFileSync(join(secret, 'file'), 'utf8')).toBe('the host’s\n');
    },
    120_000,
  );

  containers.test(
    'an operator’s own link leads where it does',
    async () => {
      const big = stack.folder.file('big');
      mkdirSync(join(big, 'data'), { recursive: true });
      writeFileSync(join(big, 'data', 'file'), 'big\n');
      const link = stack.folder.file('data');
      symlinkSync(big, link);
      const root = await rootOf('big/linked');
      const uuid = await run('linked', join(link, 'linked'), filesystem('mount', `${link}/data`, '/data'));
      await reboot(stack, uuid);
      await eventually(() => shownInside(bus, uuid, 'cat', '/data/file'), 'big\n');
      expect(existsSync(join(root, 'data'))).toBe(true);
      await destroy(uuid);
    },
    120_000,
  );
});
