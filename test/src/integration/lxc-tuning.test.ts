/** Limits of a container: asked for and changed while it runs, in its definition, or in both. */
import { execFileSync } from 'node:child_process';
import {
  defineDomain,
  destroyDomain,
  getBlockIo,
  getMemoryLimits,
  getScheduler,
  setBlockIo,
  setMemoryLimits,
  setScheduler,
  startDomain,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { needsContainers, Stack } from '@virtbus/testkit';
import { limitOf } from './lxc-cgroups';
import { runInside } from './lxc-command';

const containers = needsContainers();
let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  if (!containers.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['t1'], env: { VIRTBUS_LXC_PIDS_MAX: '64' } });
  bus = await stack.connect();
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

containers.test(
  'a container that forks without end runs out of processes, and its host does not',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'forks' });
    expect(limitOf(stack.containerInit(uuid), 'pids', 'pids.max', 'pids.max')).toBe('64');
    const { code, err } = await runInside(bus, uuid, [
      'sh',
      '-c',
      'for i in $(seq 100); do sleep 60 >/dev/null 2>&1 & done',
    ]);
    expect([code, err]).toEqual([2, expect.stringContaining('Resource temporarily unavailable')]);
    await call(bus, destroyDomain, {}, { target: uuid });
  },
  60_000,
);

containers.test(
  'share and quota of processor time change while a container runs, and outlive it in the definition',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'sched' });
    const target = { target: uuid };
    expect(await call(bus, getScheduler, {}, target)).toMatchObject({ shares: 1024, quotaUs: -1 });
    await call(bus, setScheduler, { shares: 512, quotaUs: 50_000, periodUs: 100_000, affect: 'both' }, target);
    expect(await call(bus, getScheduler, {}, target)).toEqual({ shares: 512, quotaUs: 50_000, periodUs: 100_000 });
    expect(limitOf(stack.containerInit(uuid), 'cpu', 'cpu.shares', 'cpu.weight')).toMatch(/^(512|50)$/);
    expect((await stack.events(bus, uuid)).at(-1)).toMatchObject({
      class: 'tunable',
      type: 'cpu',
      data: { shares: 512, affect: ['live', 'config'] },
    });
    await call(bus, setScheduler, { quotaUs: -1, affect: 'live' }, target);
    expect(await call(bus, getScheduler, { affect: 'live' }, target)).toMatchObject({ shares: 512, quotaUs: -1 });
    expect(await call(bus, getScheduler, { affect: 'config' }, target)).toMatchObject({ quotaUs: 50_000 });
    await call(bus, destroyDomain, {}, target);
    await call(bus, startDomain, {}, target);
    expect(await call(bus, getScheduler, {}, target)).toMatchObject({ shares: 512, quotaUs: 50_000 });
    await call(bus, destroyDomain, {}, target);
  },
  120_000,
);

containers.test(
  'limits of memory move up and down in any order, and one that cannot be kept changes nothing',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'memory' });
    const target = { target: uuid };
    const told = () => call(bus, getMemoryLimits, { affect: 'live' }, target);
    expect(await told()).toMatchObject({ hardKiB: 65_536, softKiB: null });
    await call(bus, setMemoryLimits, { hardKiB: 32_768, softKiB: 16_384 }, target);
    expect(await told()).toMatchObject({ hardKiB: 32_768, softKiB: 16_384 });
    await expect(call(bus, setMemoryLimits, { hardKiB: 4, softKiB: 8 }, target)).rejects.toThrow(/uses \d+ KiB/);
    expect(await told()).toMatchObject({ hardKiB: 32_768, softKiB: 16_384 });
    if ('swapHardKiB' in (await told())) {
      await call(bus, setMemoryLimits, { hardKiB: 131_072, swapHardKiB: 196_608 }, target);
      expect(await told()).toMatchObject({ hardKiB: 131_072, swapHardKiB: 196_608 });
      await call(bus, setMemoryLimits, { hardKiB: 32_768, swapHardKiB: 65_536 }, target);
      await expect(call(bus, setMemoryLimits, { swapHardKiB: 16_384 }, target)).rejects.toThrow('<swap_hard_limit>');
      await call(bus, setMemoryLimits, { swapHardKiB: null }, target);
      expect(await told()).toMatchObject({ hardKiB: 32_768, swapHardKiB: null });
    }
    await call(bus, setMemoryLimits, { hardKiB: null, softKiB: null }, target);
    expect(await told()).toMatchObject({ hardKiB: 65_536, softKiB: null });
    await call(bus, destroyDomain, {}, target);
  },
  120_000,
);

containers.test(
  'block I/O is limited by device of the host; a weight that the kernel has not is refused by name',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'io' });
    const target = { target: uuid };
    const path = '/dev/loop0';
    await call(bus, setBlockIo, { devices: [{ path, readBytes: 1_048_576, writeIops: 100 }] }, target);
    expect(limitOf(stack.containerInit(uuid), 'blkio', 'blkio.throttle.read_bps_device', 'io.max')).toMatch(
      /^7:0 .*1048576/,
    );
    expect(await call(bus, getBlockIo, {}, target)).toMatchObject({
      devices: [{ path, readBytes: 1_048_576, writeIops: 100 }],
    });
    await call(bus, setBlockIo, { devices: [{ path, readBytes: 0, writeIops: 0 }] }, target);
    expect(limitOf(stack.containerInit(uuid), 'blkio', 'blkio.throttle.read_bps_device', 'io.max')).toBe('');
    await expect(call(bus, setBlockIo, { devices: [{ path: '/dev/nothere', readBytes: 1 }] }, target)).rejects.toThrow(
      '/dev/nothere',
    );
    const { weight } = await call(bus, getBlockIo, {}, target);
    const weighed = call(bus, setBlockIo, { weight: 500 }, target);
    if (weight === undefined) await expect(weighed).rejects.toThrow('no weights for block I/O');
    else expect(await weighed.then(() => call(bus, getBlockIo, {}, target))).toMatchObject({ weight: 500 });
    await call(bus, destroyDomain, {}, target);
  },
  120_000,
);

containers.test(
  'limits of which the kernel refuses one are all as they were',
  async () => {
    const { uuid } = await stack.runContainer(bus, { name: 'part' });
    const target = { target: uuid };
    const nowhere = stack.folder.file('nowhere');
    execFileSync('mknod', [nowhere, 'b', '259', '4000']);
    const devices = ['/dev/loop0', nowhere].map((path) => ({ path, readBytes: 1_048_576 }));
    await expect(call(bus, setBlockIo, { devices, affect: 'live' }, target)).rejects.toMatchObject({
      code: 'OPERATION_FAILED',
    });
    expect(limitOf(stack.containerInit(uuid), 'blkio', 'blkio.throttle.read_bps_device', 'io.max')).toBe('');
    expect((await call(bus, getBlockIo, {}, target)).devices ?? []).toEqual([]);
    await call(bus, destroyDomain, {}, target);
  },
  120_000,
);

containers.test(
  'a definition is tuned while nothing runs, and only what is sensible is taken',
  async () => {
    const { domain } = await call(bus, defineDomain, { xml: await stack.containerXml({ name: 'idle' }) });
    const target = { target: domain.uuid };
    expect(await call(bus, getScheduler, {}, target)).toEqual({});
    await call(bus, setScheduler, { shares: 256 }, target);
    expect(await call(bus, getScheduler, { affect: 'config' }, target)).toEqual({ shares: 256 });
    await expect(call(bus, setScheduler, { shares: 256, affect: 'live' }, target)).rejects.toThrow('is not running');
    await expect(call(bus, setScheduler, { periodUs: 1 }, target)).rejects.toThrow('periodUs');
  },
  120_000,
);
