/** File systems, network cards and device nodes that join and leave a container that runs. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachDevice, destroyDomain, detachDevice, getDomainXml } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, Stack, temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';
import { deviceRights } from './lxc-cgroups';
import { kindsOfContainers, runInside, shownInside } from './lxc-command';

const containers = needsContainers();

/** Does what the program does; where a file `<name>-hangs` is there it writes its pid into that and does not come back. */
const hangingProgram = (folder: TemporaryFolder, name: string): string => `#!/bin/sh
PATH='${process.env.PATH ?? ''}' ${name} "$@" || exit
[ -e '${folder.file(`${name}-hangs`)}' ] || exit 0
echo $$ >'${folder.file(`${name}-hangs`)}'
exec sleep 600
`;

describe.each(kindsOfContainers)('%s', (_kind, subIds) => {
  const programs = temporaryFolder();
  let stack: Stack;
  let bus: Bus;
  let uuid: string;
  const inside = (...words: string[]): Promise<string> => shownInside(bus, uuid, ...words);
  const attach = (xml: string) => call(bus, attachDevice, { xml, affect: 'live' }, { target: uuid });
  const detach = (xml: string) => call(bus, detachDevice, { xml, affect: 'live' }, { target: uuid });
  const deviceEvents = async (): Promise<string[]> =>
    (await stack.events(bus, uuid)).filter(({ class: family }) => family === 'device').map(({ type }) => type);

  beforeAll(async () => {
    if (!containers.met) return;
    for (const name of ['perl', 'ip'])
      writeFileSync(programs.file(name), hangingProgram(programs, name), { mode: 0o755 });
    const env = { VIRTBUS_LXC_SUBIDS: subIds, PATH: `${programs.path}:${process.env.PATH ?? ''}` };
    stack = await Stack.start({ hosts: [], lxcHosts: ['c1'], env });
    bus = await stack.connect();
  }, 60_000);
  beforeEach(async () => {
    if (!containers.met) return;
    ({ uuid } = await stack.runContainer(bus, { name: `devices${Math.random().toString(36).slice(2, 8)}` }));
  });
  afterEach(async () => {
    if (containers.met) await call(bus, destroyDomain, {}, { target: uuid });
  });
  afterAll(async () => {
    await stack?.[Symbol.asyncDispose]();
    programs[Symbol.dispose]();
  });

  containers.test(
    'a folder of the host is mounted, survives a reboot from inside, and is taken away',
    async () => {
      const folder = stack.folder.file('shared');
      mkdirSync(folder, { recursive: true });
      writeFileSync(`${folder}/hello`, 'from outside\n');
      const xml = `<filesystem type='mount'><source dir='${folder}'/><target dir='/mnt/new/place'/><readonly/></filesystem>`;
      await attach(xml);
      expect(await inside('cat', '/mnt/new/place/hello')).toBe('from outside\n');
      expect(await inside('sh', '-c', 'echo x >/mnt/new/place/hello')).toMatch(/Read-only file system/);
      expect((await call(bus, getDomainXml, {}, { target: uuid })).xml).toContain("<target dir='/mnt/new/place'/>");
      const before = stack.containerInit(uuid);
      void runInside(bus, uuid, ['reboot', '-f']).catch(() => undefined);
      await eventually(() => existsSync(`/proc/${before}`), false);
      await eventually(() => inside('cat', '/mnt/new/place/hello').catch(String), 'from outside\n');
      // As a driver that died over that reboot leaves it.
      await stack.restartDriver('c1', async () => {
        execFileSync('nsenter', ['-t', String(stack.containerInit(uuid)), '-m', 'umount', '/mnt/new/place']);
        const path = join(stack.folder.path, 'state', 'hosts', 'c1', 'lxc', 'domains', uuid, 'record.json');
        const record = JSON.parse(readFileSync(path, 'utf8')) as { guest: object };
        writeFileSync(path, JSON.stringify({ ...record, guest: { ...record.guest, lacksPlugged: true } }));
      });
      await eventually(() => inside('cat', '/mnt/new/place/hello').catch(String), 'from outside\n');
      await detach(xml);
      expect(await inside('ls', '/mnt/new/place')).toBe('');
      expect(await deviceEvents()).toEqual(['added', 'removed']);
    },
    120_000,
  );

  containers.test(
    'what a container mounts in a folder that joined is not mounted on its host',
    async () => {
      // As systemd mounts a host's file systems.
      const shared = stack.folder.file('propagating');
      mkdirSync(shared);
      execFileSync('mount', ['-t', 'tmpfs', 'shared', shared]);
      try {
        execFileSync('mount', ['--make-shared', shared]);
        mkdirSync(join(shared, 'below'));
        await attach(`<filesystem type='mount'><source dir='${shared}'/><target dir='/mnt/shared'/></filesystem>`);
        expect(await inside('mount', '-t', 'tmpfs', 'inner', '/mnt/shared/below')).toBe('');
        expect(await inside('touch', '/mnt/shared/below/inside')).toBe('');
        expect(readdirSync(join(shared, 'below'))).toEqual([]);
      } finally {
        execFileSync('umount', ['--recursive', shared]);
      }
    },
    120_000,
  );

  containers.test(
    'a device that cannot be written down has not joined, nor left, and the command does it once it can',
    async () => {
      const folder = stack.folder.file('unwritten');
      mkdirSync(folder, { recursive: true });
      const xml = `<filesystem type='mount'><source dir='${folder}'/><target dir='/mnt/unwritten'/></filesystem>`;
      const facts = async (): Promise<unknown> => ({
        mounted: readFileSync(`/proc/${stack.containerInit(uuid)}/mountinfo`, 'utf8').includes(' /mnt/unwritten '),
        shown: (await call(bus, getDomainXml, {}, { target: uuid })).xml.includes('/mnt/unwritten'),
      });
      // What is written first, beside the document, is a folder.
      const inTheWay = stack.folder.file('state', 'hosts', 'c1', 'lxc', 'domains', uuid, 'live.xml.part');
      const inVain = async (command: Promise<unknown>): Promise<void> => {
        await expect(command).rejects.toThrow(/cannot write .*live.xml/);
        rmSync(inTheWay, { recursive: true });
      };
      const obstruct = (): void => {
        rmSync(inTheWay, { force: true });
        mkdirSync(inTheWay);
      };
      obstruct();
      await inVain(attach(xml));
      expect(await facts()).toEqual({ mounted: false, shown: false });
      await attach(xml);
      expect(await facts()).toEqual({ mounted: true, shown: true });
      obstruct();
      await inVain(detach(xml));
      expect(await facts()).toMatchObject({ shown: true });
      await detach(xml);
      expect(await facts()).toEqual({ mounted: false, shown: false });
      expect(await deviceEvents()).toEqual(['added', 'removed']);
    },
    120_000,
  );

  containers.test(
    'a card on a bridge joins and leaves, and nothing of it stays on the host',
    async () => {
      const bridge = `vbt${process.pid % 100_000}`;
      execFileSync('ip', ['link', 'add', bridge, 'type', 'bridge']);
      try {
        const mac = '52:54:00:12:34:56';
        const ip = "<ip address='10.99.0.2' family='ipv4' prefix='24'/>";
        const xml = `<interface type='bridge'><mac address='${mac}'/><source bridge='${bridge}'/>${ip}</interface>`;
        const { device } = await attach(xml);
        const [, outside] = /<target dev='([^']+)'/.exec(device!)!;
        expect(readFileSync(`/sys/class/net/${outside}/master/uevent`, 'utf8')).toContain(`INTERFACE=${bridge}`);
        expect(await inside('ip', 'address', 'show', 'eth0')).toMatch(new RegExp(`${mac}[^]*inet 10\\.99\\.0\\.2/24`));
        await expect(attach(xml)).rejects.toThrow();
        await detach(xml);
        expect(existsSync(`/sys/class/net/${outside}`)).toBe(false);
        expect(await inside('ip', 'link', 'show', 'eth0')).not.toContain(mac);
      } finally {
        execFileSync('ip', ['link', 'delete', bridge]);
      }
    },
    120_000,
  );

  containers.test(
    'a card whose name is taken in the container takes nothing away',
    async () => {
      const [lower, other] = [`vbl${process.pid % 100_000}`, `vbo${process.pid % 100_000}`];
      execFileSync('ip', ['link', 'add', lower, 'type', 'veth', 'peer', 'name', other]);
      try {
        const network = ['-t', String(stack.containerInit(uuid)), '-n', 'ip', 'link'];
        execFileSync('nsenter', [...network, 'add', 'eth7', 'type', 'veth', 'peer', 'name', 'eth8']);
        const card = (name: string): string =>
          `<interface type='direct'><source dev='${lower}' mode='bridge'/><guest dev='${name}'/></interface>`;
        await expect(attach(card('eth7'))).rejects.toThrow(/File exists/);
        expect(await inside('ip', 'link', 'show', 'eth7')).toContain('eth7');
        await attach(card('eth0'));
        await expect(attach(card('eth0'))).rejects.toThrow("has a network card 'eth0' already");
        expect(await inside('ip', 'link', 'show', 'eth0')).toContain('eth0');
      } finally {
        execFileSync('ip', ['link', 'delete', lower]);
      }
    },
    120_000,
  );

  containers.test(
    'a device node that cannot join leaves no right behind, and one that the host has no longer can leave',
    async () => {
      const node = stack.folder.file(`node${subIds.length}`);
      execFileSync('mknod', [node, 'b', '7', '99']);
      const xml = `<hostdev mode='capabilities' type='storage'><source><block>${node}</block></source></hostdev>`;
      const rights = (): string => deviceRights(stack.containerInit(uuid));
      // A folder is in its place.
      expect(await inside('mkdir', '-p', node)).toBe('');
      await expect(attach(xml)).rejects.toThrow();
      expect(rights()).not.toContain('7:99');
      expect(await inside('rmdir', node)).toBe('');
      await attach(xml);
      rmSync(node);
      await detach(xml);
      expect(await inside('sh', '-c', `[ -b ${node} ] || echo gone`)).toBe('gone\n');
      expect((await call(bus, getDomainXml, {}, { target: uuid })).xml).not.toContain(node);
    },
    120_000,
  );

  containers.test(
    'a device node joins and leaves, and only then can be used',
    async () => {
      const xml = "<hostdev mode='capabilities' type='misc'><source><char>/dev/net/tun</char></source></hostdev>";
      expect(await inside('ls', '/dev/net/tun')).toMatch(/^1 /);
      await attach(xml);
      expect(await inside('sh', '-c', '[ -c /dev/net/tun ] && echo there')).toBe('there\n');
      // It is the host's file, so its owner decides who may open it.
      if (subIds === 'none') expect(await inside('sh', '-c', 'exec 3<>/dev/net/tun && echo open')).toBe('open\n');
      await expect(attach(xml)).rejects.toThrow("two devices have the place '/dev/net/tun'");
      await detach(xml);
      expect(await inside('sh', '-c', '[ -c /dev/net/tun ] || echo gone')).toBe('gone\n');
    },
    120_000,
  );

  containers.test(
    'what cannot be plugged is refused by name',
    async () => {
      await expect(
        attach("<filesystem type='mount'><source dir='/nothere'/><target dir='/x'/></filesystem>"),
      ).rejects.toThrow('/nothere');
      await expect(attach("<interface type='bridge'><source bridge='nobr9'/></interface>")).rejects.toThrow('nobr9');
      await expect(detach("<interface type='bridge'><mac address='52:54:00:00:00:99'/></interface>")).rejects.toThrow();
      expect(await deviceEvents()).toEqual([]);
    },
    120_000,
  );

  containers.test(
    'of a folder or card that was joining when the driver was killed nothing is left, and the command brings it when given again',
    async () => {
      const folder = stack.folder.file('half');
      mkdirSync(folder, { recursive: true });
      const isMounted = (): boolean =>
        readFileSync(`/proc/${stack.containerInit(uuid)}/mountinfo`, 'utf8').includes(' /mnt/half ');
      const isLinked = (): boolean => existsSync('/sys/class/net/vbhalf0');
      const devices = [
        [`<filesystem type='mount'><source dir='${folder}'/><target dir='/mnt/half'/></filesystem>`, isMounted, 'perl'],
        ["<interface type='ethernet'><target dev='vbhalf0'/></interface>", isLinked, 'ip'],
      ] as const;
      for (const [xml, isThere, program] of devices) {
        const hanging = programs.file(`${program}-hangs`);
        writeFileSync(hanging, '');
        void attach(xml).catch(() => undefined);
        await eventually(
          () => readFileSync(hanging, 'utf8'),
          (pid) => pid.endsWith('\n'),
        );
        expect(isThere()).toBe(true);
        await stack.restartDriver('c1', async () => {
          process.kill(Number(readFileSync(hanging, 'utf8')), 'SIGKILL');
          rmSync(hanging);
        });
        await eventually(isThere, false);
        await attach(xml);
        expect(isThere()).toBe(true);
        await detach(xml);
        expect(isThere()).toBe(false);
        // It had left when a driver died over it: the document still has it.
        await attach(xml);
        const words =
          program === 'ip'
            ? ['ip', 'link', 'delete', 'vbhalf0']
            : ['nsenter', '-t', String(stack.containerInit(uuid)), '-m', 'umount', '/mnt/half'];
        execFileSync(words[0]!, words.slice(1));
        await detach(xml);
      }
    },
    120_000,
  );
});
