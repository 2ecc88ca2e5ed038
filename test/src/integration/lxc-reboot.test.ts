/** Over a reboot from inside, liblxc boots what it read at the start: the container is as its document says all the same. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  attachDevice,
  destroyDomain,
  detachDevice,
  getDomainXml,
  setBlockIo,
  setMemory,
  setMemoryLimits,
  setScheduler,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, Stack } from '@virtbus/testkit';
import { deviceRights, limitOf } from './lxc-cgroups';
import { kindsOfContainers, shownInside } from './lxc-command';
import { reboot } from './lxc-rebooting';

const containers = needsContainers();

describe.each(kindsOfContainers)('%s', (_kind, subIds) => {
  let stack: Stack;
  let bus: Bus;
  let uuid: string;
  const inside = (...words: string[]): Promise<string> => shownInside(bus, uuid, ...words);
  const attach = (xml: string) => call(bus, attachDevice, { xml, affect: 'live' }, { target: uuid });
  const detach = (xml: string) => call(bus, detachDevice, { xml, affect: 'live' }, { target: uuid });
  const xml = async (): Promise<string> => (await call(bus, getDomainXml, {}, { target: uuid })).xml;

  const start = async (devices = '', more = ''): Promise<void> => {
    const name = `again${Math.random().toString(36).slice(2, 8)}`;
    ({ uuid } = await stack.runContainer(bus, { name, devices, more }));
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
  };
  /** Once with a driver that sees it, once with one that is dead meanwhile. */
  const inBothWays = async (check: () => Promise<void>): Promise<void> => {
    await reboot(stack, uuid);
    await check();
    await stack.restartDriver('c1', () => reboot(stack, uuid));
    await check();
  };

  beforeAll(async () => {
    if (!containers.met) return;
    stack = await Stack.start({ hosts: [], lxcHosts: ['c1'], env: { VIRTBUS_LXC_SUBIDS: subIds } });
    await stack.startStorage('c1');
    bus = await stack.connect();
  }, 60_000);
  afterEach(async () => {
    if (containers.met) await call(bus, destroyDomain, {}, { target: uuid });
  });
  afterAll(async () => stack?.[Symbol.asyncDispose]());

  containers.test(
    'files of its root are its own, from the first boot on',
    async () => {
      await start();
      const own = (): Promise<string> =>
        inside('sh', '-c', 'touch /root/mine && stat -c %u:%g /etc /root/mine && rm /root/mine');
      expect(await own()).toBe('0:0\n0:0\n');
      const document = await xml();
      await inBothWays(async () => {
        await eventually(own, '0:0\n0:0\n');
      });
      expect(await xml()).toBe(document);
    },
    120_000,
  );

  containers.test(
    'what it was booted with and has left stays away, and what came in its place is there',
    async () => {
      const [old, fresh] = ['old', 'fresh'].map((name) => {
        const folder = stack.folder.file(name);
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, 'which'), `${name}\n`);
        return folder;
      });
      const node = stack.folder.file(`disk${subIds.length}`);
      execFileSync('mknod', [node, 'b', '7', '98']);
      const disk = `<disk type='block'><source dev='${node}'/><target dev='sdx' bus='scsi'/></disk>`;
      const tun = "<hostdev mode='capabilities' type='misc'><source><char>/dev/net/tun</char></source></hostdev>";
      const folder = (path: string, target: string): string =>
        `<filesystem type='mount'><source dir='${path}'/><target dir='${target}'/></filesystem>`;
      const card = (mac: string): string =>
        `<interface type='ethernet'><mac address='52:54:00:00:77:${mac}'/></interface>`;
      const leaving = [folder(old!, '/mnt/gone'), folder(old!, '/mnt/kept'), disk, tun, card('01')];
      await start([...leaving, card('02')].join(''));
      const facts = async (): Promise<unknown> => ({
        gone: await inside('ls', '/mnt/gone'),
        kept: await inside('cat', '/mnt/kept/which'),
        nodes: await inside('sh', '-c', '[ -b /dev/sdx ] || [ -c /dev/net/tun ] && echo there || echo gone'),
        rights: /7:98|10:200/.exec(rights())?.[0],
        cards: (await inside('sh', '-c', 'cat /sys/class/net/eth*/address')).trim().split('\n'),
      });
      const rights = (): string => deviceRights(stack.containerInit(uuid));
      for (const device of leaving) await detach(device);
      await attach(folder(fresh!, '/mnt/kept'));
      await attach(card('03'));
      const expected = {
        gone: '',
        kept: 'fresh\n',
        nodes: 'gone\n',
        rights: undefined,
        cards: ['52:54:00:00:77:03', '52:54:00:00:77:02'],
      };
      expect(await facts()).toEqual(expected);
      const document = await xml();
      await inBothWays(async () => {
        await eventually(facts, expected);
        expect(await xml()).toBe(document);
      });
      // What comes back is there for good.
      await attach(disk);
      await inBothWays(async () => {
        await eventually(() => inside('sh', '-c', '[ -b /dev/sdx ] && echo there'), 'there\n');
      });
    },
    120_000,
  );

  containers.test(
    'what joined and cannot be brought again is in its document no more, and that is told',
    async () => {
      await start();
      const folder = stack.folder.file('lost');
      mkdirSync(folder, { recursive: true });
      const lost = `<filesystem type='mount'><source dir='${folder}'/><target dir='/mnt/lost'/></filesystem>`;
      await attach(lost);
      await attach("<interface type='ethernet'><mac address='52:54:00:00:79:01'/></interface>");
      rmSync(folder, { recursive: true });
      await reboot(stack, uuid);
      const removed = async (): Promise<unknown[]> =>
        (await stack.events(bus, uuid)).flatMap(({ type, data }) => (type === 'removed' ? [data] : []));
      await eventually(removed, ({ length }) => length > 0);
      expect(await removed()).toEqual([{ alias: 'fs1', reason: expect.stringContaining(folder) as string }]);
      const document = await xml();
      expect(document).not.toContain(folder);
      expect(document).toContain('52:54:00:00:79:01');
      await eventually(() => inside('cat', '/sys/class/net/eth0/address'), '52:54:00:00:79:01\n');
      mkdirSync(folder);
      await attach(lost);
    },
    120_000,
  );

  containers.test(
    'it is held to the limits that it has now',
    async () => {
      await start();
      const target = { target: uuid };
      const all = (): Record<string, string> => ({
        memory: limitOf(stack.containerInit(uuid), 'memory', 'memory.limit_in_bytes', 'memory.max'),
        soft: limitOf(stack.containerInit(uuid), 'memory', 'memory.soft_limit_in_bytes', 'memory.high'),
        shares: limitOf(stack.containerInit(uuid), 'cpu', 'cpu.shares', 'cpu.weight'),
        quota: limitOf(stack.containerInit(uuid), 'cpu', 'cpu.cfs_quota_us', 'cpu.max'),
        reads: limitOf(stack.containerInit(uuid), 'blkio', 'blkio.throttle.read_bps_device', 'io.max'),
      });
      const before = all();
      await call(bus, setMemory, { kib: 32_768 }, target);
      await call(bus, setMemoryLimits, { softKiB: 16_384, affect: 'live' }, target);
      await call(bus, setScheduler, { shares: 512, quotaUs: 50_000, periodUs: 100_000, affect: 'live' }, target);
      const devices = [{ path: '/dev/loop0', readBytes: 1_048_576 }];
      await call(bus, setBlockIo, { devices, affect: 'live' }, target);
      const tuned = all();
      for (const name of Object.keys(before)) expect(tuned[name]).not.toBe(before[name]);
      await inBothWays(async () => {
        await eventually(all, tuned);
      });
    },
    120_000,
  );

  containers.test(
    'a limit that was taken off does not come back, also when the driver was restarted before',
    async () => {
      const rate = '<device><path>/dev/loop0</path><read_bytes_sec>1048576</read_bytes_sec></device>';
      const soft = "<memtune><soft_limit unit='KiB'>16384</soft_limit></memtune>";
      await start('', `${soft}<blkiotune>${rate}</blkiotune>`);
      const target = { target: uuid };
      const all = (): string[] => [
        limitOf(stack.containerInit(uuid), 'memory', 'memory.soft_limit_in_bytes', 'memory.high'),
        limitOf(stack.containerInit(uuid), 'blkio', 'blkio.throttle.read_bps_device', 'io.max'),
      ];
      const started = all();
      await call(bus, setMemoryLimits, { softKiB: null, affect: 'live' }, target);
      await call(bus, setBlockIo, { devices: [{ path: '/dev/loop0', readBytes: 0 }], affect: 'live' }, target);
      const free = all();
      for (const [index, limit] of free.entries()) expect(limit).not.toBe(started[index]);
      await inBothWays(async () => {
        await eventually(all, free);
      });
    },
    120_000,
  );

  containers.test(
    'memory with swap follows memory, up and down',
    async () => {
      await start();
      const target = { target: uuid };
      const limits = (): string[] => [
        limitOf(stack.containerInit(uuid), 'memory', 'memory.limit_in_bytes', 'memory.max'),
        limitOf(stack.containerInit(uuid), 'memory', 'memory.memsw.limit_in_bytes', 'memory.swap.max'),
      ];
      for (const [hardKiB, swapHardKiB] of [
        [131_072, 196_608],
        [32_768, 40_960],
      ]) {
        const wish = { hardKiB: hardKiB!, swapHardKiB: swapHardKiB!, affect: 'live' as const };
        // Where swap is not counted there is nothing to follow.
        if (!(await call(bus, setMemoryLimits, wish, target).then(Boolean, () => false))) return;
        const tuned = limits();
        await inBothWays(async () => {
          await eventually(limits, tuned);
        });
      }
    },
    120_000,
  );

  containers.test(
    'a card that joined is there again, also while somebody holds the network of the former boot',
    async () => {
      await start();
      const mac = '52:54:00:00:78:01';
      await attach(`<interface type='ethernet'><mac address='${mac}'/></interface>`);
      const held = spawn('nsenter', ['-t', String(stack.containerInit(uuid)), '-n', 'sleep', '600']);
      try {
        await eventually(() => readFileSync(`/proc/${held.pid}/comm`, 'utf8'), 'sleep\n');
        await inBothWays(async () => {
          await eventually(() => inside('cat', '/sys/class/net/eth0/address'), `${mac}\n`);
        });
      } finally {
        held.kill('SIGKILL');
      }
    },
    120_000,
  );
});
