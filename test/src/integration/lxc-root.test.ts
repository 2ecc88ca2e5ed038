/** A root file system whose ids are mapped: what the host mounts for it at a reboot, and what becomes of that. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, openSync, closeSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { destroyDomain, startDomain } from '@virtbus/shared';
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
