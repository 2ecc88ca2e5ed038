import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '@virtbus/testkit';
import { cgroupPaths, HostCgroups } from './cgroups';

const mount = (path: string, type: string, options: string): string =>
  `31 24 0:27 / ${path} rw,relatime shared:9 - ${type} cgroup ${options}`;

const hybrid = HostCgroups.read(
  [
    mount('/sys/fs/cgroup/memory', 'cgroup', 'rw,memory'),
    mount('/sys/fs/cgroup/cpu,cpuacct', 'cgroup', 'rw,cpu,cpuacct'),
    mount('/sys/fs/cgroup/freezer', 'cgroup', 'rw,freezer'),
    mount('/sys/fs/cgroup/unified', 'cgroup2', 'rw'),
    '40 24 0:30 / /proc rw - proc proc rw',
  ].join('\n'),
  '3:memory:/base\n2:cpu,cpuacct:/\n1:freezer:/\n0::/init.scope\n',
);

test('each controller is found where it is, on its own hierarchy or the unified one', () => {
  const { versions } = hybrid.facts();
  expect(versions).toMatchObject({ memory: 1, cpu: 1, cpuacct: 1, freezer: 1, devices: 2 });
  expect(versions.pids).toBeUndefined();
});

test('a container is below the cgroup of process 1', () => {
  const { payload } = cgroupPaths('ab12', 'c1');
  const cgroup = hybrid.container(payload);
  expect(cgroup.path('memory', 'memory.stat', 'x')).toBe(
    '/sys/fs/cgroup/memory/base/virtbus-lxc/ab12-c1/payload/memory.stat',
  );
  expect(cgroup.path('cpu', 'cpu.shares', 'x')).toBe(
    '/sys/fs/cgroup/cpu,cpuacct/virtbus-lxc/ab12-c1/payload/cpu.shares',
  );
  expect(cgroup.path('pids', 'pids.max', 'pids.max')).toBeUndefined();
});

test('a host without cgroups says so', () => {
  expect(HostCgroups.read('', '0::/\n').unusable()).toBe('no cgroup hierarchy is mounted; mount one at /sys/fs/cgroup');
});

test('a host without the freezer says so', () => {
  const only = HostCgroups.read(mount('/nowhere/memory', 'cgroup', 'rw,memory'), '3:memory:/\n');
  expect(only.unusable()).toBe("the cgroup controller 'freezer' is not there");
});

test('a hierarchy that cannot be written names the place', () => {
  const readOnly = HostCgroups.read(
    [mount('/proc/memory', 'cgroup', 'rw,memory'), mount('/proc/freezer', 'cgroup', 'rw,freezer')].join('\n'),
    '3:memory:/\n1:freezer:/\n',
  );
  expect(readOnly.unusable()).toMatch(/^cannot make a cgroup below \/proc\/memory/);
});

test('to expect moves moves nobody, here or where cgroups cannot be written', async () => {
  const before = readFileSync('/proc/self/cgroup', 'utf8');
  await HostCgroups.read().expectMoves();
  await hybrid.expectMoves();
  await HostCgroups.read('', '0::/\n').expectMoves();
  expect(readFileSync('/proc/self/cgroup', 'utf8')).toBe(before);
});

test('moves are expected of a kernel that makes them wait, and of none that favors them', async () => {
  using folder = temporaryFolder();
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
  const procs = join(folder.path, own, 'cgroup.procs');
  const told = async (options: string): Promise<string> => {
    mkdirSync(dirname(procs), { recursive: true });
    writeFileSync(procs, '');
    await HostCgroups.read(mount(folder.path, 'cgroup2', options), '0::/\n').expectMoves();
    return readFileSync(procs, 'utf8');
  };
  expect(await told('rw,nsdelegate')).toBe('0');
  expect(await told('rw,favordynmods')).toBe('');
});
