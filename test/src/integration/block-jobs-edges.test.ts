/** Block jobs where something stands in the way: what is refused meanwhile, room that runs out, a guest that dies, names in headers. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import {
  abortBlockJob,
  commitBlocks,
  copyBlocks,
  createCheckpoint,
  detachDevice,
  listBlockJobs,
  pullBlocks,
  saveDomain,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsRoot, Stack } from '@virtbus/testkit';
import { faultsOf } from '../block-stand/sound';
import { WritingGuest } from '../block-stand/writing-guest';
import { disk, qemuImg } from './storage-stand';

jest.setTimeout(240_000);

const patience = { timeoutMs: 90_000 };
let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const jobs = async ({ uuid }: WritingGuest) => (await call(bus, listBlockJobs, {}, { target: uuid })).jobs;
const told = async ({ uuid }: WritingGuest): Promise<string[]> => {
  const events = await stack.events(bus, uuid);
  return events.flatMap(({ class: kind, type, data }) =>
    kind === 'block-job' ? [`${data?.disk as string} ${type} ${(data?.error as string | undefined) ?? ''}`.trim()] : [],
  );
};
const words = (text: string): object => ({ message: expect.stringContaining(text) as string });

test('a guest with a job is not saved, its disk not detached; when it dies its jobs are gone without a word', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'busy' });
  const target = { target: guest.uuid };
  await call(bus, pullBlocks, { disk: 'vda', bandwidth: 65_536 }, target);
  await call(bus, commitBlocks, { disk: 'vdb', active: true }, target);
  const path = stack.folder.file('busy.save');
  await expect(call(bus, saveDomain, { path }, target)).rejects.toMatchObject(words('domain has active block job'));
  expect(existsSync(path)).toBe(false);
  const xml = disk(guest.file('vda-3.qcow2'), 'qcow2');
  const detach = call(bus, detachDevice, { xml, affect: 'live' }, target);
  await expect(detach).rejects.toMatchObject(words("disk 'vda' already in active block job"));
  const byPath = { disk: guest.file('vdb-3.qcow2'), top: guest.file('vdb-2.qcow2') };
  await expect(call(bus, commitBlocks, byPath, target)).rejects.toMatchObject({ code: 'BLOCK_COPY_ACTIVE' });
  expect(await stack.state(bus, guest.uuid)).toBe('running(booted)');
  process.kill(stack.pidOf(guest.uuid), 'SIGKILL');
  await eventually(() => stack.state(bus, guest.uuid), 'shutoff(crashed)', patience);
  expect((await told(guest)).filter((one) => !one.endsWith('ready'))).toEqual([]);
  const flushed = guest.flushed;
  await guest.boot();
  expect(await jobs(guest)).toEqual([]);
  expect(await faultsOf(guest, { flushed, leaks: true })).toEqual([]);
});

test('relative names stay relative where all are, and a bitmap of the active image goes to the base with its data', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'named' });
  const target = { target: guest.uuid };
  await guest.destroy();
  for (const [over, below, format] of [
    ['vda-1.qcow2', 'vda-0.img', 'raw'],
    ['vda-2.qcow2', 'vda-1.qcow2', 'qcow2'],
    ['vda-3.qcow2', 'vda-2.qcow2', 'qcow2'],
  ] as const) {
    qemuImg('rebase', '-u', '-f', 'qcow2', '-F', format, '-b', below, guest.file(over));
  }
  await guest.boot();
  const kept = { relative: true, base: guest.file('vdb-1.qcow2') };
  await expect(call(bus, pullBlocks, { disk: 'vdb', ...kept }, target)).rejects.toMatchObject(
    words("can't keep relative backing relationship"),
  );
  const middle = { disk: 'vda', top: guest.file('vda-2.qcow2'), base: guest.file('vda-1.qcow2'), relative: true };
  await call(bus, commitBlocks, middle, target);
  await eventually(() => jobs(guest), [], patience);
  const { 'backing-filename': recorded } = JSON.parse(
    qemuImg('info', '-U', '--output=json', guest.file('vda-3.qcow2')),
  ) as Record<string, unknown>;
  expect(recorded).toBe('vda-1.qcow2');

  const disks = "<disk name='vda' checkpoint='no'/><disk name='vdb' checkpoint='bitmap'/>";
  const xml = `<domaincheckpoint><name>c1</name><disks>${disks}</disks></domaincheckpoint>`;
  await call(bus, createCheckpoint, { xml }, target);
  await guest.flushesMore(10);
  await call(bus, commitBlocks, { disk: 'vdb', base: guest.file('vdb-1.qcow2'), active: true }, target);
  await eventually(async () => (await jobs(guest))[0]?.state, 'ready', patience);
  await call(bus, abortBlockJob, { disk: 'vdb', pivot: true }, target);
  await guest.flushesMore(10);
  const chains = { vda: ['vda-3.qcow2', 'vda-1.qcow2', 'vda-0.img'], vdb: ['vdb-1.qcow2', 'vdb-0.img'] };
  const besides = ['vda-2.qcow2', 'vdb-3.qcow2', 'vdb-2.qcow2'];
  expect(await faultsOf(guest, { chains, besides, bitmaps: ['c1'] })).toEqual([]);
});

needsRoot().test('a copy that runs out of room fails and says why; the guest does not notice', async () => {
  const small = stack.folder.file('small');
  mkdirSync(small);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=755', 'none', small]);
  try {
    const guest = await WritingGuest.start(stack, bus, { name: 'cramped' });
    const xml = `<disk type='file'><source file='${small}/copy.img'/><driver type='raw'/></disk>`;
    await call(bus, copyBlocks, { disk: 'vda', xml, transientJob: true }, { target: guest.uuid });
    await eventually(() => jobs(guest), [], patience);
    expect(await told(guest)).toEqual(['vda failed No space left on device']);
    await guest.flushesMore(10);
    expect(await faultsOf(guest)).toEqual([]);
  } finally {
    for (const pid of stack.guestPids()) process.kill(pid, 'SIGKILL');
    await eventually(() => stack.guestPids().length, 0, { timeoutMs: 20_000 });
    execFileSync('umount', [small]);
  }
});

needsRoot().test(
  'a disk goes over to a block device, written to at once; another to a copy with a chain of its own',
  async () => {
    const guest = await WritingGuest.start(stack, bus, { name: 'moving' });
    const target = { target: guest.uuid };
    const image = stack.folder.file('device.img');
    qemuImg('create', '-q', '-f', 'raw', image, '8M');
    const path = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
    try {
      const device = `<disk type='block'><source dev='${path}'/><driver type='raw'/></disk>`;
      const sync = { synchronousWrites: true, granularity: 65_536, bufferSize: 1024 ** 2 };
      await call(bus, copyBlocks, { disk: 'vda', xml: device, transientJob: true, ...sync }, target);
      const [below, top] = [guest.file('own-0.qcow2'), guest.file('own-1.qcow2')];
      qemuImg('create', '-q', '-f', 'qcow2', below, '8M');
      qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', below, top);
      const own = `<disk type='file'><source file='${top}'/><driver type='qcow2'/></disk>`;
      await call(bus, copyBlocks, { disk: 'vdb', xml: own, transientJob: true, reuseExternal: true }, target);
      for (const name of ['vda', 'vdb']) {
        await eventually(async () => (await jobs(guest)).find((job) => job.disk === name)?.state, 'ready', patience);
        await call(bus, abortBlockJob, { disk: name, pivot: true }, target);
      }
      await guest.flushesMore(10);
      const chains = { vda: [path], vdb: ['own-1.qcow2', 'own-0.qcow2'] };
      const besides = ['vda', 'vdb'].flatMap((name) => [
        `${name}-0.img`,
        ...[1, 2, 3].map((n) => `${name}-${n}.qcow2`),
      ]);
      expect(await faultsOf(guest, { chains, besides })).toEqual([]);
    } finally {
      for (const pid of stack.guestPids()) process.kill(pid, 'SIGKILL');
      await eventually(() => stack.guestPids().length, 0, { timeoutMs: 20_000 });
      execFileSync('losetup', ['--detach', path]);
    }
  },
);
