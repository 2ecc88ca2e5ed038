/** Namespaces that a container shares: with another container, and with a network that the host has named. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { defineDomain, destroyDomain, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, isAlive, needsContainers, Stack } from '@virtbus/testkit';
import { kindsOfContainers, runInside } from './lxc-command';
import { reboot } from './lxc-rebooting';

const containers = needsContainers();

describe.each(kindsOfContainers)('%s', (_kind, subIds) => {
  let stack: Stack;
  let bus: Bus;
  beforeAll(async () => {
    if (!containers.met) return;
    stack = await Stack.start({ hosts: [], lxcHosts: ['c1'], env: { VIRTBUS_LXC_SUBIDS: subIds } });
    bus = await stack.connect();
  }, 60_000);
  afterAll(async () => stack?.[Symbol.asyncDispose]());

  const sharing = async (name: string, share: string): Promise<string> => {
    const xml = await stack.containerXml({ name, more: `<lxc:namespace>${share}</lxc:namespace>` });
    const named = xml
      .replace("<domain type='lxc'>", "<domain type='lxc' xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'>")
      .replace('<features><privnet/></features>', '');
    return (await call(bus, defineDomain, { xml: named })).domain.uuid;
  };
  const namespaceOf = (pid: number, kind: string): string => readlinkSync(`/proc/${pid}/ns/${kind}`);

  containers.test(
    'is in the network that the host has named',
    async () => {
      const netns = `vbt${process.pid}-${subIds.length}`;
      execFileSync('ip', ['netns', 'add', netns]);
      try {
        execFileSync('ip', ['-n', netns, 'link', 'add', 'shared0', 'type', 'veth', 'peer', 'name', 'shared1']);
        const uuid = await sharing('named', `<lxc:sharenet type='netns' value='${netns}'/>`);
        await call(bus, startDomain, {}, { target: uuid });
        expect((await runInside(bus, uuid, ['ip', 'link', 'show', 'shared0'])).out).toContain('shared0');
        await call(bus, destroyDomain, {}, { target: uuid });
      } finally {
        execFileSync('ip', ['netns', 'delete', netns]);
      }
    },
    60_000,
  );

  containers.test(
    'is in the network, and has the host name, of another container',
    async () => {
      const { uuid: owner } = await stack.runContainer(bus, { name: 'owner' });
      const share = `<lxc:sharenet type='name' value='owner'/><lxc:shareuts type='name' value='owner'/>`;
      const uuid = await sharing('guest', share);
      await call(bus, startDomain, {}, { target: uuid });
      for (const kind of ['net', 'uts'])
        expect(namespaceOf(stack.containerInit(uuid), kind)).toBe(namespaceOf(stack.containerInit(owner), kind));
      expect(namespaceOf(stack.containerInit(uuid), 'mnt')).not.toBe(namespaceOf(stack.containerInit(owner), 'mnt'));
      await call(bus, destroyDomain, {}, { target: owner });
      await call(bus, destroyDomain, {}, { target: uuid });
      await expect(call(bus, startDomain, {}, { target: uuid })).rejects.toThrow("container 'owner' does not run");
    },
    60_000,
  );

  containers.test(
    'is in the same network after a reboot from inside, also when the other has ended and its number is somebody else’s',
    async () => {
      const { uuid: owner } = await stack.runContainer(bus, { name: 'first' });
      const uuid = await sharing('second', `<lxc:sharenet type='name' value='first'/>`);
      await call(bus, startDomain, {}, { target: uuid });
      await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
      const init = stack.containerInit(owner);
      const network = namespaceOf(init, 'net');
      await call(bus, destroyDomain, {}, { target: owner });
      await eventually(() => isAlive(init), false);
      let other: ChildProcess | undefined;
      const isTaken = (): boolean => {
        if (isAlive(init)) return true; // By one that another test runs.
        // The next number that the kernel gives (proc(5)).
        writeFileSync('/proc/sys/kernel/ns_last_pid', String(init - 1));
        other = spawn('sleep', ['600']);
        if (other.pid !== init) other.kill('SIGKILL');
        return other.pid === init;
      };
      await eventually(isTaken, true);
      try {
        await reboot(stack, uuid);
        expect(namespaceOf(stack.containerInit(uuid), 'net')).toBe(network);
        expect(existsSync(`/proc/${init}`) && namespaceOf(init, 'net')).not.toBe(network);
      } finally {
        other?.kill('SIGKILL');
      }
      await call(bus, destroyDomain, {}, { target: uuid });
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(network);
    },
    60_000,
  );
});
