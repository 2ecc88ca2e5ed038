/** A container over the bus, from define to its end, and what it tells of itself. */
import { closeSync, existsSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import {
  defineDomain,
  destroyDomain,
  execInDomain,
  rebootDomain,
  resumeDomain,
  setMemory,
  shutdownDomain,
  startDomain,
  statsOfDomain,
  suspendDomain,
  type DomainEvent,
  type VirtError,
} from '@virtbus/shared';
import { call, newId, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, requirement, Stack, tinyRootfs } from '@virtbus/testkit';
import { runInside, type Ran } from './lxc-command';

const containers = needsContainers();
let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  if (!containers.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['c1'] });
  bus = await stack.connect();
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

const told = async (uuid: string): Promise<string[]> =>
  (await stack.events(bus, uuid)).map(({ class: family, type, detail }) =>
    [family === 'lifecycle' ? '' : `${family}.`, type, detail ? `(${detail})` : ''].join(''),
  );
const lastEvent = async (uuid: string): Promise<DomainEvent> => (await stack.events(bus, uuid)).at(-1)!;
const state = (uuid: string): Promise<string> => stack.state(bus, uuid);

const run = (uuid: string, command: string[], input?: string): Promise<Ran> => runInside(bus, uuid, command, input);

containers.test(
  'a container is defined, started, suspended, resumed and destroyed, each told once',
  async () => {
    const { domain } = await call(bus, defineDomain, { xml: await stack.containerXml({ name: 'life' }) });
    const { uuid } = domain;
    expect(domain).toMatchObject({ driver: 'lxc', virtType: 'lxc', osType: 'exe', state: 'shutoff' });
    await call(bus, startDomain, {}, { target: uuid });
    expect(await state(uuid)).toBe('running(booted)');
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted life');
    await call(bus, suspendDomain, {}, { target: uuid });
    expect(await state(uuid)).toBe('paused(user)');
    await call(bus, resumeDomain, {}, { target: uuid });
    await call(bus, destroyDomain, {}, { target: uuid });
    expect(await state(uuid)).toBe('shutoff(destroyed)');
    expect(await told(uuid)).toEqual([
      'defined(added)',
      'resumed(unpaused)',
      'started(booted)',
      'suspended(paused)',
      'resumed(unpaused)',
      'stopped(destroyed)',
    ]);
  },
  120_000,
);

containers.test(
  'a container that is asked to shut down ends with the status of its init',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'polite', args: ['exit-status=7'] });
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
    await call(bus, shutdownDomain, {}, { target: uuid });
    await eventually(() => state(uuid), 'shutoff(shutdown)');
    expect(await lastEvent(uuid)).toMatchObject({ type: 'stopped', detail: 'shutdown', data: { exitStatus: 7 } });
  },
  120_000,
);

containers.test(
  'a control pipe that is full, for who holds it reads nothing, is none: init is asked by a signal',
  async () => {
    const init =
      'trap "exit 0" TERM; mkfifo /run/full; exec 3&lt;&gt;/run/full; cat /dev/zero >&amp;3 &amp; mv /run/full /run/initctl; wait';
    const { uuid } = await stack.runContainer(bus, { name: 'deaf', init: '/bin/sh', args: ['-c', init] });
    await eventually(async () => (await run(uuid, ['test', '-p', '/run/initctl'])).code, 0);
    const asked = (): Promise<string> =>
      call(bus, shutdownDomain, { mode: ['initctl'] }, { target: uuid }).then(
        () => 'taken',
        (error: unknown) => (error as VirtError).code,
      );
    await eventually(asked, (answer) => answer !== 'taken');
    expect(await asked()).toBe('OPERATION_UNSUPPORTED');
    await call(bus, shutdownDomain, {}, { target: uuid });
    await eventually(() => state(uuid), 'shutoff(shutdown)');
  },
  120_000,
);

containers.test(
  'a reboot is told once, whether it is asked for or comes from inside, and the container runs on',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'again' });
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
    const reboots = async (): Promise<number> => (await told(uuid)).filter((one) => one === 'reboot.reboot').length;
    const init = stack.containerInit(uuid);
    await call(bus, rebootDomain, {}, { target: uuid });
    await eventually(reboots, 1);
    expect(stack.containerInit(uuid)).not.toBe(init);
    expect(await state(uuid)).toBe('running(booted)');
    void run(uuid, ['reboot', '-f']).catch(() => undefined);
    await eventually(reboots, 2);
    expect(await state(uuid)).toBe('running(booted)');
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  120_000,
);

containers.test(
  'a container that is powered off from inside has shut down',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'poweredoff' });
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
    void run(uuid, ['poweroff', '-f']).catch(() => undefined);
    await eventually(() => state(uuid), 'shutoff(shutdown)');
    expect(await lastEvent(uuid)).toMatchObject({ type: 'stopped', detail: 'shutdown' });
  },
  120_000,
);

containers.test(
  'a container whose reboot is to be its end has shut down by it, each time, and leaves nothing on the host',
  async () => {
    const before = readdirSync('/');
    const xml = await stack.containerXml({ name: 'once' });
    const once = xml.replace('<devices>', '<on_reboot>destroy</on_reboot><devices>');
    const { uuid } = (await call(bus, defineDomain, { xml: once })).domain;
    for (let start = 0; start < 2; start++) {
      await call(bus, startDomain, {}, { target: uuid });
      await eventually(async () => (await run(uuid, ['true'])).code, 0);
      void run(uuid, ['reboot', '-f']).catch(() => undefined);
      await eventually(() => state(uuid), 'shutoff(shutdown)');
      expect(await lastEvent(uuid)).toMatchObject({ type: 'stopped', detail: 'shutdown' });
    }
    expect(readdirSync('/')).toEqual(before);
  },
  120_000,
);

containers.test(
  'an init that is killed from outside has crashed',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'victim' });
    process.kill(stack.containerInit(uuid), 'SIGKILL');
    await eventually(() => state(uuid), 'shutoff(crashed)');
    expect(await lastEvent(uuid)).toMatchObject({ type: 'stopped', detail: 'failed', data: { signal: 9 } });
  },
  120_000,
);

containers.test(
  'a command inside has its own input, output, errors and exit code',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'inside' });
    expect(await run(uuid, ['sh', '-c', 'read x; echo got $x; echo no >&2; exit 7'], 'this\n')).toEqual({
      code: 7,
      out: 'got this\n',
      err: 'no\n',
    });
    const big = 'x'.repeat(3_000_000);
    expect(await run(uuid, ['wc', '-c'], big)).toMatchObject({ code: 0, out: '3000000\n' });
    const back = await run(uuid, ['head', '-c', '3000000', '/dev/zero']);
    expect([back.code, back.out.length]).toEqual([0, 3_000_000]);
    const notThere = { code: 127, out: '', err: expect.stringContaining('Failed to exec "/bin/nothere"') };
    expect(await run(uuid, ['/bin/nothere'])).toEqual(notThere);
    const noProgram = { code: 126, out: '', err: expect.stringContaining('Permission denied') };
    expect(await run(uuid, ['/etc/passwd'])).toEqual(noProgram);
    const ids = { session: newId(), errors: newId() };
    const nobody = call(bus, execInDomain, { ...ids, command: ['id'], gid: 4_294_967_295 }, { target: uuid });
    await expect(nobody).rejects.toThrow('gid 4294967295 is none that Linux has');
    await call(bus, destroyDomain, {}, { target: uuid });
    await expect(run(uuid, ['true'])).rejects.toThrow('domain is not running');
  },
  120_000,
);

containers.test(
  'statistics are those of the container, and its memory limit moves while it runs',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'counted' });
    const { stats } = await call(bus, statsOfDomain, {}, { target: uuid });
    expect(stats.cpu!.timeNs).toBeGreaterThan(0);
    expect(stats.balloon).toMatchObject({ currentKiB: 65_536, maximumKiB: 65_536 });
    expect(stats.balloon!.unusedKiB).toBeLessThan(65_536);
    await call(bus, setMemory, { kib: 32_768 }, { target: uuid });
    expect((await call(bus, statsOfDomain, {}, { target: uuid })).stats.balloon!.currentKiB).toBe(32_768);
    expect(await lastEvent(uuid)).toMatchObject({ class: 'balloon', data: { actualKiB: 32_768 } });
    await expect(call(bus, setMemory, { kib: 4 }, { target: uuid })).rejects.toThrow(/uses \d+ KiB of memory/);
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  120_000,
);

const kernelLog = requirement('root, cgroups, and the log of a kernel that can be read', () => {
  if (!containers.met) return false;
  closeSync(openSync('/dev/kmsg', 'r'));
  return true;
});

kernelLog.test(
  'an init that is killed for want of memory is told as that, also when nobody was there to see it',
  async () => {
    const grows = 'until [ -e /grow ]; do sleep 0.1; done; x=$(head -c 200000000 /dev/zero | tr "\\0" x); exit 0';
    const args = ['-c', grows.replaceAll('"', '&quot;')];
    const root = await tinyRootfs(stack.folder.file('swollen'));
    const xml = await stack.containerXml({ name: 'swollen', init: '/bin/sh', args, root });
    const { uuid } = (await call(bus, defineDomain, { xml })).domain;
    const grow = async (init: number): Promise<void> => {
      writeFileSync(`${root}/grow`, '');
      await eventually(() => existsSync(`/proc/${init}`), false, { timeoutMs: 30_000 });
      rmSync(`${root}/grow`);
    };
    const ooms = async (): Promise<number> =>
      (await stack.events(bus, uuid)).filter(({ class: family }) => family === 'oom').length;
    for (const isAway of [false, true]) {
      await call(bus, startDomain, {}, { target: uuid });
      const init = stack.containerInit(uuid);
      await (isAway ? stack.restartDriver('c1', () => grow(init)) : grow(init));
      await eventually(() => state(uuid), 'shutoff(crashed)');
      expect(await lastEvent(uuid)).toMatchObject({ type: 'stopped', data: { signal: 9, outOfMemory: true } });
      // Where its supervisor is found at the very end the second is told, too.
      if (!isAway) expect(await ooms()).toBe(1);
    }
  },
  60_000,
);

containers.test(
  'a process that is killed for want of memory is told, and the container runs on',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'hungry' });
    // 200 MB in a variable of the shell; the limit is 64 MiB.
    const hog = await run(uuid, ['sh', '-c', 'x=$(head -c 200000000 /dev/zero | tr "\\0" x); echo ${#x}']);
    expect(hog.out).not.toContain('200000000');
    const told = async (): Promise<boolean> =>
      (await stack.events(bus, uuid)).some((event) => event.class === 'oom' && Number(event.data?.processes) > 0);
    await eventually(told, true, { timeoutMs: 15_000 });
    expect(await state(uuid)).toBe('running(booted)');
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  60_000,
);
