/** What a container cannot reach: a check list, for containers that run as the host's root and for those that do not. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createDomain, destroyDomain, getDomainXml } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, Stack } from '@virtbus/testkit';
import { kindsOfContainers, runInside } from './lxc-command';

const containers = needsContainers();

describe.each(kindsOfContainers)('%s', (_kind, subIds) => {
  let stack: Stack;
  let bus: Bus;
  let one: string;
  let other: string;
  const sh = async (script: string): Promise<string> => {
    const { code, out, err } = await runInside(bus, one, ['sh', '-c', script]);
    return code === 0 ? `ok ${out}` : `refused ${err}`;
  };

  beforeAll(async () => {
    if (!containers.met) return;
    stack = await Stack.start({ hosts: [], lxcHosts: ['c1'], env: { VIRTBUS_LXC_SUBIDS: subIds } });
    bus = await stack.connect();
    one = (await stack.runContainer(bus, { name: 'one' })).uuid;
    other = (await stack.runContainer(bus, { name: 'other' })).uuid;
  }, 60_000);
  afterAll(async () => stack?.[Symbol.asyncDispose]());

  containers.test(
    'cannot write what its driver reads of it: without a console, too, what init prints is not in the log of its start',
    async () => {
      const line = 'lxc-start c 20260101000000.000 NOTICE   start - start.c:post_start:1 - Started "init" with pid "1"';
      const script = `echo '${line}'; echo '${line}' &gt;&amp;2; touch /told; exec sleep 600`;
      const spoken = await stack.containerXml({ name: 'mute', init: '/bin/sh', args: ['-c', script] });
      const xml = spoken.replace("<console type='pty'/>", '');
      expect(xml).not.toContain('<console');
      const { uuid } = (await call(bus, createDomain, { xml })).domain;
      await eventually(async () => (await runInside(bus, uuid, ['test', '-e', '/told'])).code, 0);
      const folder = stack.folder.file('state/hosts/c1/lxc/log');
      const log = readdirSync(folder).find((name) => name.startsWith('mute-'))!;
      expect(readFileSync(join(folder, log), 'utf8')).not.toContain('pid "1"');
      await call(bus, destroyDomain, {}, { target: uuid });
    },
    120_000,
  );

  containers.test(
    'cannot trigger the magic SysRq key',
    async () => {
      expect(await sh('echo h >/proc/sysrq-trigger')).toMatch(/^refused/);
    },
    120_000,
  );

  containers.test(
    "cannot write the kernel's settings",
    async () => {
      for (const file of [
        '/proc/sys/kernel/core_pattern',
        '/proc/sys/vm/drop_caches',
        '/sys/kernel/mm/ksm/run',
        '/sys/class/net/lo/mtu',
      ]) {
        expect([file, await sh(`[ -e ${file} ] && echo 1 >${file}`)]).toEqual([
          file,
          expect.stringMatching(/^refused/),
        ]);
      }
      // As the host's root with CAP_SYS_ADMIN it could mount a /sys of its own; ids of its own are what keeps it out.
      if (subIds === 'none') return;
      expect(await sh('mount -o remount,rw /sys')).toMatch(/^refused/);
      expect(
        await sh('mkdir -p /tmp/sys && mount -t sysfs none /tmp/sys && echo 1 >/tmp/sys/kernel/mm/ksm/run'),
      ).toMatch(/^refused/);
    },
    120_000,
  );

  containers.test(
    "cannot make or open the host's devices",
    async () => {
      const { rdev } = statSync('/dev/null');
      expect(rdev).toBeGreaterThan(0);
      for (const node of ['b 7 0', 'c 1 1', 'c 1 2', 'c 10 237']) {
        expect([node, await sh(`mknod /dev/host-device ${node} && head -c 1 /dev/host-device`)]).toEqual([
          node,
          expect.stringMatching(/^refused/),
        ]);
      }
      expect(await sh('ls /dev')).not.toMatch(/\b(mem|kmsg|loop0|vda|sda|kvm)\b/);
    },
    120_000,
  );

  containers.test(
    'sees its own processes alone',
    async () => {
      const seen = (await sh("ls /proc | grep -c '^[0-9]'")).replace('ok ', '');
      expect(Number(seen)).toBeLessThan(40);
      expect(await sh('cat /proc/1/cmdline')).toContain('/sbin/init');
      expect(await sh(`kill -0 ${stack.containerInit(other)}`)).toMatch(/^refused/);
    },
    120_000,
  );

  containers.test(
    "cannot reach another container's cgroups, nor lift its own limits",
    async () => {
      expect(await sh('ls /sys/fs/cgroup/*/virtbus-lxc /sys/fs/cgroup/virtbus-lxc')).toMatch(/^refused/);
      expect(await sh('find /sys/fs/cgroup -name "*payload*" | grep .')).toMatch(/^refused/);
      const limit =
        'f=/sys/fs/cgroup/memory/memory.limit_in_bytes; [ -e $f ] || f=/sys/fs/cgroup/memory.max; echo 4G >$f; cat $f';
      expect(await sh(limit)).not.toContain('4294967296');
    },
    120_000,
  );

  containers.test(
    'cannot load modules, set the clock, or make system calls that reach past it',
    async () => {
      // Busybox says so, and exits with 0 all the same.
      expect((await runInside(bus, one, ['date', '-s', '2000-01-01'])).err).toContain('Operation not permitted');
      const status = readFileSync(`/proc/${stack.containerInit(one)}/status`, 'utf8');
      expect(status).toMatch(/^Seccomp:\s+2$/m);
      const bounding = BigInt(`0x${/^CapBnd:\s+([0-9a-f]+)$/m.exec(status)![1]}`);
      // Numbers of capability.h: sys_module 16, sys_rawio 17, sys_time 25, mknod 27, mac_override 32, mac_admin 33.
      for (const number of [16n, 17n, 25n, 27n, 32n, 33n])
        expect([number, (bounding >> number) & 1n]).toEqual([number, 0n]);
    },
    120_000,
  );

  containers.test(
    'is mapped to ids of its own where the host has some',
    async () => {
      const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${stack.containerInit(one)}/status`, 'utf8'))![1];
      const mapped = subIds !== 'none';
      expect(uid).toBe(mapped ? '300000' : '0');
      const { xml } = await call(bus, getDomainXml, {}, { target: one });
      expect(xml!.includes("<uid start='0' target='300000' count='65536'/>")).toBe(mapped);
      expect(await sh('id -u && touch /tmp/mine && stat -c %u /tmp/mine && rm /tmp/mine')).toBe('ok 0\n0\n');
    },
    120_000,
  );
});
