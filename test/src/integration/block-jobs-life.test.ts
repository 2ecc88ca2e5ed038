/**
 * Pull, commit and copy under a guest that writes to two disks of four layers: afterwards its data is whole, and documents,
 * headers, leases, nodes and files agree.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import {
  abortBlockJob,
  commitBlocks,
  copyBlocks,
  createPool,
  createVolume,
  listBlockJobs,
  pullBlocks,
  setBlockJobSpeed,
  type BlockJob,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, freePort, needsProgram, Stack, startProcess } from '@virtbus/testkit';
import { faultsOf } from '../block-stand/sound';
import { WritingGuest } from '../block-stand/writing-guest';
import { disk, overlay, qemuImg } from './storage-stand';

jest.setTimeout(240_000);

const mib = 1024 ** 2;
/** A job that is still there when something else has been done, bytes a second. */
const slowly = mib / 16;
let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const jobOf = async (guest: WritingGuest, disk: string): Promise<BlockJob | undefined> =>
  (await call(bus, listBlockJobs, { disk }, { target: guest.uuid })).jobs[0];
const gone = (guest: WritingGuest, disk: string): Promise<unknown> =>
  eventually(() => jobOf(guest, disk), undefined, { timeoutMs: 60_000 });
const ready = (guest: WritingGuest, disk: string): Promise<unknown> =>
  eventually(async () => (await jobOf(guest, disk))?.state, 'ready', { timeoutMs: 60_000 });

/** Names of the images that a disk of the stand begins with, the active one first. */
const images = (disk: string): string[] => [...[3, 2, 1].map((n) => `${disk}-${n}.qcow2`), `${disk}-0.img`];

test('a disk pulls all that it stands on, another down to its base; both at the same time, one at a limited speed', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'pulls' });
  const target = { target: guest.uuid };
  const { job } = await call(bus, pullBlocks, { disk: 'vda', bandwidth: slowly }, target);
  expect(job).toMatchObject({ type: 'pull', disk: 'vda', bandwidth: slowly });
  const second = call(bus, pullBlocks, { disk: 'vda' }, target);
  await expect(second).rejects.toMatchObject({
    code: 'OPERATION_UNSUPPORTED',
    message: expect.stringContaining("disk 'vda' already in active block job") as string,
  });
  await call(bus, pullBlocks, { disk: 'vdb', base: await guest.layer('vdb', 3) }, target);
  await gone(guest, 'vdb');
  await eventually(async () => ((await jobOf(guest, 'vda'))?.processed ?? 0) > 0, true, { timeoutMs: 30_000 });
  await call(bus, setBlockJobSpeed, { disk: 'vda', bandwidth: 64 * mib }, target);
  await gone(guest, 'vda');
  await guest.flushesMore(20);
  const besides = [...images('vda'), ...images('vdb')];
  const chains = { vda: ['vda-3.qcow2'], vdb: ['vdb-3.qcow2', 'vdb-0.img'] };
  expect(await faultsOf(guest, { chains, besides })).toEqual([]);
});

test('what a pull has copied is in the image when QEMU is killed as soon as the job has ended', async () => {
  const file = (depth: number): string => stack.folder.file(`killed-${depth}.qcow2`);
  const io = (path: string, ...how: string[]): string =>
    execFileSync('qemu-io', ['-f', 'qcow2', ...how.flatMap((one) => ['-c', one]), path], { encoding: 'utf8' });
  for (const depth of [0, 1, 2]) {
    if (depth > 0) overlay(file(depth), file(depth - 1), 'qcow2');
    else qemuImg('create', '-q', '-f', 'qcow2', file(0), '16M');
    io(file(depth), `write -P ${depth + 1} ${depth}M 1M`);
  }
  const { uuid } = await stack.run(bus, { name: 'killed', devices: disk(file(2), 'qcow2') });
  await call(bus, pullBlocks, { disk: 'vda' }, { target: uuid });
  const completed = async (): Promise<boolean> =>
    (await stack.events(bus, uuid)).some(({ class: kind, type }) => kind === 'block-job' && type === 'completed');
  await eventually(completed, true, { timeoutMs: 60_000 });
  process.kill(stack.pidOf(uuid), 'SIGKILL');
  await eventually(() => stack.state(bus, uuid), 'shutoff(crashed)', { timeoutMs: 60_000 });
  expect(JSON.parse(qemuImg('info', '--output=json', file(2)))).not.toHaveProperty('backing-filename');
  expect(io(file(2), 'read -P 1 0M 1M', 'read -P 2 1M 1M', 'read -P 3 2M 1M')).not.toContain('verification failed');
});

test('a middle image is merged into the one below, and an active one; pivot before it is ready is refused', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'commits' });
  const target = { target: guest.uuid };
  const slow = { disk: 'vdb', active: true, bandwidth: mib / 2 };
  await expect(call(bus, commitBlocks, { disk: 'vdb' }, target)).rejects.toMatchObject({
    code: 'INVALID_ARG',
    message: expect.stringContaining("commit of 'vdb' active layer requires active flag") as string,
  });
  await call(bus, commitBlocks, slow, target);
  await expect(call(bus, abortBlockJob, { disk: 'vdb', pivot: true }, target)).rejects.toMatchObject({
    code: 'BLOCK_COPY_ACTIVE',
    message: expect.stringContaining('not ready for pivot yet') as string,
  });
  const [top, base] = [await guest.layer('vda', 1), await guest.layer('vda', 2)];
  const middle = { disk: 'vda', top, base, delete: true };
  await call(bus, commitBlocks, middle, target);
  await gone(guest, 'vda');
  await call(bus, setBlockJobSpeed, { disk: 'vdb', bandwidth: 0 }, target);
  await ready(guest, 'vdb');
  await guest.flushesMore(20);
  await call(bus, abortBlockJob, { disk: 'vdb', pivot: true }, target);
  await guest.flushesMore(20);
  const chains = { vda: ['vda-3.qcow2', 'vda-1.qcow2', 'vda-0.img'], vdb: ['vdb-0.img'] };
  expect(await faultsOf(guest, { chains, besides: images('vdb') })).toEqual([]);
});

test('jobs that are given up, while they run and when they are ready, leave all as it was', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'aborts' });
  const target = { target: guest.uuid };
  await call(bus, commitBlocks, { disk: 'vda', active: true }, target);
  await ready(guest, 'vda');
  await guest.flushesMore(20);
  await call(bus, abortBlockJob, { disk: 'vda' }, target);
  for (const begin of [pullBlocks, commitBlocks] as const) {
    const active = begin === commitBlocks ? { active: true } : {};
    await call(bus, begin, { disk: 'vdb', bandwidth: mib / 2, ...active }, target);
    await call(bus, abortBlockJob, { disk: 'vdb' }, target);
    expect(await jobOf(guest, 'vdb')).toBeUndefined();
  }
  await guest.flushesMore(20);
  expect(await faultsOf(guest, { chains: { vda: images('vda'), vdb: images('vdb') } })).toEqual([]);
});

test('a disk goes over to a copy of all its layers, another to a copy of the active one in a pool', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'copies' });
  const target = { target: guest.uuid };
  const copy = `<disk type='file'><source file='${guest.file('copy.qcow2')}'/><driver type='qcow2'/></disk>`;
  await expect(call(bus, copyBlocks, { disk: 'vda', xml: copy }, target)).rejects.toMatchObject({
    code: 'OPERATION_INVALID',
    message: expect.stringContaining('domain is not transient') as string,
  });
  await call(bus, copyBlocks, { disk: 'vda', xml: copy, transientJob: true }, target);

  const path = stack.folder.file('pool');
  mkdirSync(path, { mode: 0o755 });
  const pool = `<pool type='dir'><name>copies</name><target><path>${path}</path></target></pool>`;
  await call(bus, createPool, { xml: pool }, { target: 'h1' });
  const backing = `<backingStore><path>${guest.file('vdb-2.qcow2')}</path><format type='qcow2'/></backingStore>`;
  const volume = `<volume><name>vdb.qcow2</name><capacity>${8 * mib}</capacity><target><format type='qcow2'/></target>${backing}</volume>`;
  await call(bus, createVolume, { pool: 'copies', xml: volume }, { target: 'h1' });
  const inPool = `<disk type='volume'><source pool='copies' volume='vdb.qcow2'/><driver type='qcow2'/></disk>`;
  const shallow = { disk: 'vdb', xml: inPool, transientJob: true, shallow: true, reuseExternal: true };
  await call(bus, copyBlocks, shallow, target);

  for (const disk of ['vda', 'vdb']) {
    await ready(guest, disk);
    await guest.flushesMore(20);
    await call(bus, abortBlockJob, { disk, pivot: true }, target);
  }
  await guest.flushesMore(20);
  const [, ...below] = images('vdb');
  const chains = { vda: ['copy.qcow2'], vdb: [`${path}/vdb.qcow2`, ...below] };
  expect(await faultsOf(guest, { chains, besides: [...images('vda'), ...images('vdb')] })).toEqual([]);
});

needsProgram('qemu-nbd').test('a disk is copied to a server that speaks NBD, and goes over to it', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'remote' });
  const target = { target: guest.uuid };
  const [port, image] = [await freePort(), stack.folder.file('remote.img')];
  qemuImg('create', '-q', '-f', 'raw', image, String(8 * mib));
  const words = [
    'qemu-nbd',
    '-t',
    '-e',
    '4',
    '-b',
    '127.0.0.1',
    '-p',
    String(port),
    '-x',
    'remote',
    '-f',
    'raw',
    image,
  ];
  const server = await startProcess(words, { name: 'qemu-nbd' });
  await eventually(() => qemuImg('info', '-f', 'raw', `nbd://127.0.0.1:${port}/remote`).includes('8 MiB'), true);
  const source = `<source protocol='nbd' name='remote'><host name='127.0.0.1' port='${port}'/></source>`;
  const xml = `<disk type='network'><driver type='raw'/>${source}</disk>`;
  const request = { disk: 'vda', xml, transientJob: true, reuseExternal: true };
  await call(bus, copyBlocks, request, target);
  await ready(guest, 'vda');
  await call(bus, abortBlockJob, { disk: 'vda', pivot: true }, target);
  await guest.flushesMore(20);
  expect(await guest.losses()).toEqual([]);
  expect(await guest.xml()).toMatch(/<source protocol='nbd' name='remote'[^>]*>/);
  await guest.destroy();
  await server.stop('SIGTERM');
});
