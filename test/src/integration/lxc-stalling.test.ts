/** A container with a file system of its own that gives no answer (fuse(4)): whoever goes there waits, and that is not the driver. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachDevice, createDomain, destroyDomain, detachDevice, shutdownDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, requirement, Stack, tinyRootfs } from '@virtbus/testkit';
import { kindsOfContainers, shownInside } from './lxc-command';

const withFuse = requirement('containers, /dev/fuse, and an x86-64', () => {
  return needsContainers().met && existsSync('/dev/fuse') && process.arch === 'x64';
});
const waits = /the container has kept perl waiting/;

/** Mounts at its argument, says what it must to be mounted (FUSE_INIT), and takes all other questions without an answer. */
const server = String.raw`
sysopen(my $fuse, '/dev/fuse', 2) or die "open: $!";
my ($type, $target, $data) = ('fuse', shift, 'fd=' . fileno($fuse) . ',rootmode=40000,user_id=0,group_id=0');
syscall(165, $type, $target, $type, 0, $data) == 0 or die "mount: $!";
sysread($fuse, my $asked, 65536);
my ($unique) = unpack('x8 Q', $asked);
syswrite($fuse, pack('LlQ L4 S2 L2 S2 L8', 80, 0, $unique, 7, 31, 0, 0, 12, 9, 65536, 1, (0) x 10)) or die "answer: $!";
open(my $ready, '>', '/ready');
close $ready;
sysread($fuse, $asked, 65536) while 1;
`;

/** Who is outside of its user namespace is not let in (Linux, fuse_allow_current_process); what makes mount points is inside. */
describe.each(kindsOfContainers)('%s', (_kind, subIds) => {
  let stack: Stack;
  let bus: Bus;
  let other: string;

  beforeAll(async () => {
    if (!withFuse.met) return;
    stack = await Stack.start({ hosts: [], lxcHosts: ['c1'], env: { VIRTBUS_LXC_SUBIDS: subIds } });
    bus = await stack.connect();
    other = (await stack.runContainer(bus, { name: 'other' })).uuid;
  }, 60_000);
  afterAll(async () => stack?.[Symbol.asyncDispose]());

  /** A container whose folder gives no answers. */
  const stallAt = async (name: string, folder: string, devices = ''): Promise<string> => {
    const root = await tinyRootfs(stack.folder.file(name));
    const copied = 'cp --parents --dereference /usr/bin/perl $(ldd /usr/bin/perl | grep -o "/\\S*") "$0"';
    execFileSync('sh', ['-c', copied, root]);
    writeFileSync(join(root, 'server'), server);
    const fuse = "<hostdev mode='capabilities' type='misc'><source><char>/dev/fuse</char></source></hostdev>";
    const xml = await stack.containerXml({ name, root, devices: `${devices}${fuse}` });
    const { uuid } = (await call(bus, createDomain, { xml })).domain;
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
    const line = `setsid perl /server ${folder} >/log 2>&1 & until [ -e /ready ] || [ -s /log ]; do sleep 0.05; done; cat /log`;
    expect(await shownInside(bus, uuid, 'sh', '-c', line)).toBe('');
    return uuid;
  };

  withFuse.test(
    'one that is asked to shut down keeps nobody else waiting, and is asked by a signal',
    async () => {
      const uuid = await stallAt('mute', '/run');
      const asked = call(bus, shutdownDomain, { mode: ['initctl'] }, { target: uuid });
      asked.catch(() => undefined);
      const began = performance.now();
      expect(await shownInside(bus, other, 'echo', 'up')).toBe('up\n');
      expect(performance.now() - began).toBeLessThan(5_000);
      await expect(asked).rejects.toThrow(subIds === 'none' ? waits : /does not provide an initctl pipe/);
      await call(bus, shutdownDomain, {}, { target: uuid });
      await eventually(
        () => stack.state(bus, uuid).catch(() => 'gone'),
        (state) => /^(shutoff|gone)/.test(state),
      );
    },
    120_000,
  );

  withFuse.test(
    'what cannot join or leave one is refused in time, and the next device comes and goes',
    async () => {
      const folder = stack.folder.file('given');
      mkdirSync(folder);
      const xml = (target: string): string =>
        `<filesystem type='mount'><source dir='${folder}'/><target dir='${target}'/></filesystem>`;
      const uuid = await stallAt('stuck', '/srv', xml('/srv/early'));
      const target = { target: uuid };
      await expect(call(bus, attachDevice, { xml: xml('/srv/late'), affect: 'live' }, target)).rejects.toThrow(waits);
      await expect(call(bus, detachDevice, { xml: xml('/srv/early'), affect: 'live' }, target)).rejects.toThrow(
        subIds === 'none' ? waits : /Permission denied/,
      );
      await call(bus, attachDevice, { xml: xml('/mnt/late'), affect: 'live' }, target);
      await call(bus, detachDevice, { xml: xml('/mnt/late'), affect: 'live' }, target);
      const init = stack.containerInit(uuid);
      await call(bus, destroyDomain, {}, target);
      expect(existsSync(`/proc/${init}`)).toBe(false);
      const left = readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(folder));
      expect(left).toEqual([]);
    },
    120_000,
  );
});
