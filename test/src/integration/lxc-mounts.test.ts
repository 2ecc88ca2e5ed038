/** Whose files a container sees in folders of the host, how much room it has, and a card beside a host's own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { attachDevice, defineDomain, destroyDomain, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, requirement, Stack } from '@virtbus/testkit';
import { runInside } from './lxc-command';
import { reboot } from './lxc-rebooting';

const containers = needsContainers();
/** To stand for a card of the host's own. */
const parent = 'vbparent0';
const withMacvlan = requirement('containers, and a kernel with macvlan', () => {
  if (!containers.met) return false;
  const probe = 'ip link add vba type veth peer name vbb && ip link add link vba name vbc type macvlan';
  return spawnSync('unshare', ['--net', 'sh', '-c', probe]).status === 0;
});
let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  if (!containers.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['m1'], env: { VIRTBUS_LXC_SUBIDS: '300000:65536' } });
  bus = await stack.connect();
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

const inside = async (domain: string, line: string): Promise<string> => {
  const { out, err } = await runInside(bus, domain, ['sh', '-c', line]);
  return `${out}${err}`.trim();
};

const mount = (source: string, target: string, more = ''): string =>
  `<filesystem type='mount'><source dir='${source}'/><target dir='${target}'/>${more}</filesystem>`;

containers.test(
  'files of a host’s folder belong to the same number inside, whether it was there from the start or joined later',
  async () => {
    const folder = stack.folder.file('shared');
    mkdirSync(folder);
    writeFileSync(`${folder}/hello`, 'hi\n');
    const { uuid } = await stack.runContainer(bus, { name: 'sharing', devices: mount(folder, '/mnt/early') });
    await call(bus, attachDevice, { xml: mount(folder, '/mnt/late'), affect: 'live' }, { target: uuid });
    expect(await inside(uuid, 'grep -o 300000 /proc/self/uid_map')).toBe('300000');
    for (const place of ['early', 'late']) {
      expect(await inside(uuid, `stat -c %u /mnt/${place}/hello && echo ${place} >/mnt/${place}/${place}`)).toBe('0');
      expect(statSync(`${folder}/${place}`).uid).toBe(0);
      expect(readFileSync(`${folder}/${place}`, 'utf8')).toBe(`${place}\n`);
    }
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  120_000,
);

containers.test(
  'a folder that was given to the container’s ids beforehand is its own as it is',
  async () => {
    const folder = stack.folder.file('given');
    mkdirSync(folder);
    chownSync(folder, 300_000, 300_000);
    const { uuid } = await stack.runContainer(bus, { name: 'given', devices: mount(folder, '/mnt/own') });
    expect(await inside(uuid, 'stat -c %u /mnt/own && touch /mnt/own/file')).toBe('0');
    expect(statSync(`${folder}/file`).uid).toBe(300_000);
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  120_000,
);

containers.test(
  'a folder is seen without what the host has mounted below it, which keeps the container neither from starting nor from rebooting',
  async () => {
    for (const owner of [0, 300_000]) {
      const folder = stack.folder.file(`over${owner}`);
      const below = (name: string): string => {
        const point = `${folder}/${name}`;
        execFileSync('mount', ['-t', 'tmpfs', name, point]);
        writeFileSync(`${point}/hidden`, '');
        return point;
      };
      for (const name of ['early', 'late']) mkdirSync(`${folder}/${name}`, { recursive: true });
      chownSync(folder, owner, owner);
      const points = [below('early')];
      try {
        const { uuid } = await stack.runContainer(bus, { name: `over${owner}`, devices: mount(folder, '/mnt/over') });
        await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
        points.push(below('late'));
        await reboot(stack, uuid);
        const seen = 'stat -c %u /mnt/over; ls /mnt/over /mnt/over/*';
        const expected = '0\n/mnt/over:\nearly\nlate\n\n/mnt/over/early:\n\n/mnt/over/late:';
        await eventually(() => inside(uuid, seen), expected);
        await call(bus, destroyDomain, {}, { target: uuid });
      } finally {
        for (const point of points) execFileSync('umount', [point]);
      }
    }
  },
  120_000,
);

containers.test(
  'room is limited where a file system keeps a limit, and refused by name where it keeps none',
  async () => {
    const limited = '<space_hard_limit unit="KiB">512</space_hard_limit>';
    const ram = `<filesystem type='ram'><source usage='4' units='MiB'/><target dir='/scratch'/>${limited}</filesystem>`;
    const { uuid } = await stack.runContainer(bus, { name: 'roomy', devices: ram });
    expect(
      await inside(uuid, 'dd if=/dev/zero of=/scratch/big bs=1k count=2000 2>&1; stat -c %s /scratch/big'),
    ).toMatch(/No space left on device[^]*524288$/);
    await call(bus, destroyDomain, {}, { target: uuid });
    const folder = await stack.containerXml({ name: 'endless', devices: mount('/srv', '/srv', limited) });
    await expect(call(bus, defineDomain, { xml: folder })).rejects.toThrow(
      /<space_hard_limit> cannot be kept on a filesystem of type 'mount'/,
    );
    const image = stack.folder.file('large.img');
    execFileSync('truncate', ['-s', '1M', image]);
    const file = `<filesystem type='file'><driver type='loop' format='raw'/><source file='${image}'/><target dir='/mnt'/>${limited}</filesystem>`;
    const { domain } = await call(bus, defineDomain, {
      xml: await stack.containerXml({ name: 'large', devices: file }),
    });
    await expect(call(bus, startDomain, {}, { target: domain.uuid })).rejects.toThrow(
      'is an image of 1048576 bytes, more than its <space_hard_limit> of 524288',
    );
  },
  120_000,
);

withMacvlan.test(
  'a card of its own beside the host’s, which is left as it was',
  async () => {
    execFileSync('ip', ['link', 'add', parent, 'type', 'veth', 'peer', 'name', `${parent}p`]);
    try {
      const card = `<interface type='direct'><mac address='52:54:00:0a:0b:0c'/><source dev='${parent}' mode='bridge'/><ip address='10.99.0.2' prefix='24'/></interface>`;
      const { uuid } = await stack.runContainer(bus, { name: 'macvlan', devices: card });
      expect(await inside(uuid, 'ip -o link show eth0')).toMatch(/52:54:00:0a:0b:0c/);
      expect(await inside(uuid, 'ip -o -4 address show eth0')).toMatch(/10\.99\.0\.2\/24/);
      await call(bus, destroyDomain, {}, { target: uuid });
      const links = (): string => execFileSync('ip', ['-o', '-d', 'link'], { encoding: 'utf8' });
      await eventually(() => /macvlan/.test(links()), false);
      expect(links()).toContain(parent);
    } finally {
      execFileSync('ip', ['link', 'delete', parent]);
    }
  },
  120_000,
);
