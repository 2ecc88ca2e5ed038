/** A root file system whose ids are mapped: what the host mounts for it at a reboot, and what becomes of that. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, openSync, closeSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineDomain, destroyDomain, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, isAlive, needsContainers, Stack, tinyRootfs } from '@virtbus/testkit';
import { shownInside } from './lxc-command';
import { beginReboot, reboot } from './lxc-rebooting';

const containers = needsContainers();
let stack: Stack;
let bus: Bus;
let uuid: string;

const mounts = (): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(` ${stack.folder.path}/r/`));
/** A file of the driver's own. */
const driverFile = (name: string): string => stack.folder.file('state', 'hosts', 'c1', 'lxc', 'driver', name);

beforeAll(async () => {
  if (!containers.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['c1'], env: { VIRTBUS_LXC_SUBIDS: '300000:65536' } });
  bus = await stack.connect();
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

const run = async (name: string, root?: string): Promise<void> => {
  ({ uuid } = await stack.runContainer(bus, { name, ...(root !== undefined && { root }) }));
  await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
};

containers.test(
  'what the host has mounted below the root is there over reboots, and stays mounted when the container has ended',
  async () => {
    // As systemd mounts a host's file systems.
    const shared = stack.folder.file('shared');
    mkdirSync(shared);
    execFileSync('mount', ['-t', 'tmpfs', 'shared', shared]);
    try {
      execFileSync('mount', ['--make-shared', shared]);
      const root = await tinyRootfs(join(shared, 'root'));
      const data = join(root, 'data');
      mkdirSync(data);
      execFileSync('mount', ['-t', 'tmpfs', 'data', data]);
      writeFileSync(join(data, 'file'), 'kept\n');
      await run('below', root);
      await reboot(stack, uuid);
      await eventually(() => shownInside(bus, uuid, 'cat', '/data/file'), 'kept\n');
      await call(bus, destroyDomain, {}, { target: uuid });
      expect(readFileSync(join(data, 'file'), 'utf8')).toBe('kept\n');
      expect(mounts()).toEqual([]);
    } finally {
      execFileSync('umount', ['--recursive', shared]);
    }
  },
  120_000,
);

containers.test(
  'one that is destroyed while the host is at it leaves nothing, and starts again',
  async () => {
    const script = driverFile('root-again');
    const text = readFileSync(script, 'utf8');
    const hook = stack.folder.file('hook');
    await run('hooked');
    try {
      writeFileSync(script, `open(my $file, '>', '${hook}'); print $file "$$\\n"; close $file; sleep 600;\n${text}`);
      await beginReboot(stack.containerInit(uuid));
      const pid = Number(
        await eventually(
          () => readFileSync(hook, 'utf8'),
          (line) => line.endsWith('\n'),
        ),
      );
      await call(bus, destroyDomain, {}, { target: uuid });
      expect(isAlive(pid)).toBe(false);
    } finally {
      writeFileSync(script, text);
    }
    expect(mounts()).toEqual([]);
    await call(bus, startDomain, {}, { target: uuid });
    await reboot(stack, uuid);
    await eventually(() => shownInside(bus, uuid, 'stat', '-c', '%u', '/etc'), '0\n');
    await call(bus, destroyDomain, {}, { target: uuid });
    expect(mounts()).toEqual([]);
    expect(readdirSync(stack.folder.file('r', 'c1', 'lxc')).filter((name) => name.endsWith('.mounts'))).toEqual([]);
  },
  120_000,
);

containers.test(
  'files that containers read as they boot again are whole, also when another release of the driver comes',
  async () => {
    const earlier = 'of an earlier release';
    for (const name of ['root-again', 'seccomp']) {
      const text = readFileSync(driverFile(name), 'utf8');
      writeFileSync(driverFile(name), earlier);
      const reader = openSync(driverFile(name), 'r');
      try {
        await stack.restartDriver('c1');
        expect(readFileSync(reader, 'utf8')).toBe(earlier);
        expect(readFileSync(driverFile(name), 'utf8')).toBe(text);
        const { ino } = statSync(driverFile(name));
        await stack.restartDriver('c1');
        expect(statSync(driverFile(name)).ino).toBe(ino);
      } finally {
        closeSync(reader);
      }
    }
  },
);

containers.test(
  'one in a folder that is root’s alone boots and reboots, and nobody runs what its root leaves there; one within reach is warned of',
  async () => {
    const folder = stack.folder.file('closed');
    mkdirSync(folder, { mode: 0o700 });
    const root = await tinyRootfs(join(folder, 'root'));
    const xml = await stack.containerXml({ name: 'closed', root });
    const { domain, warnings: none } = await call(bus, defineDomain, { xml });
    expect(none).toEqual([]);
    ({ uuid } = domain);
    await call(bus, startDomain, {}, { target: uuid });
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
    await reboot(stack, uuid);
    const mark = ['sh', '-c', 'cp /bin/busybox /true && chmod 4755 /true && stat -c %a:%u /true'];
    await eventually(() => shownInside(bus, uuid, ...mark), '4755:0\n');
    const runs = (): number | null => spawnSync(`${root}/true`, { uid: 65_534, gid: 65_534 }).status;
    expect(runs()).not.toBe(0);
    chmodSync(folder, 0o711);
    expect(runs()).toBe(0);
    expect(statSync(`${root}/true`)).toMatchObject({ uid: 0, mode: 0o104755 });
    const again = xml.replace('<name>', `<uuid>${uuid}</uuid><name>`);
    const { warnings } = await call(bus, defineDomain, { xml: again });
    expect(warnings.join()).toContain(`other users of this host reach '${root}'`);
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  120_000,
);
