/**
 * The driver is killed at each stage of a block job of a writing guest: the next one takes it up where QEMU has it, tells its end
 * once, and documents, headers and nodes agree.
 */
import {
  abortBlockJob,
  commitBlocks,
  copyBlocks,
  getDiskSizes,
  listBlockJobs,
  qmpCommand,
  pullBlocks,
  setBlockJobSpeed,
  type BlockJob,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { withMonitor, type AskQemu } from '../block-stand/monitor';
import { faultsOf } from '../block-stand/sound';
import { WritingGuest } from '../block-stand/writing-guest';

jest.setTimeout(240_000);

const mib = 1024 ** 2;
const patience = { timeoutMs: 90_000 };
let stack: Stack;
let bus: Bus;
let guest: WritingGuest;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
beforeEach(async () => {
  guest = await WritingGuest.start(stack, bus, { name: 'adopted' });
});
afterEach(() => guest?.remove());
afterAll(() => stack?.[Symbol.asyncDispose]());

const jobOf = async (disk: string): Promise<BlockJob | undefined> =>
  (await call(bus, listBlockJobs, { disk }, { target: guest.uuid })).jobs[0];
const stateOf = async (disk: string): Promise<string | undefined> => (await jobOf(disk))?.state;
/** What was told of block jobs, in order. */
const told = async (): Promise<string[]> => {
  const events = await stack.events(bus, guest.uuid);
  return events.flatMap(({ class: kind, type, data }) =>
    kind === 'block-job' ? [`${data?.disk as string} ${data?.type as string} ${type}`] : [],
  );
};
const images = (disk: string): string[] => [...[3, 2, 1].map((n) => `${disk}-${n}.qcow2`), `${disk}-0.img`];

test('jobs that run when the driver is killed run on, and one that ends meanwhile has ended', async () => {
  const target = { target: guest.uuid };
  // Of the second the driver can know the beginning alone.
  await call(bus, pullBlocks, { disk: 'vda', bandwidth: mib / 16 }, target);
  await call(bus, pullBlocks, { disk: 'vdb' }, target);
  await stack.restartDriver('h1');
  expect(await stateOf('vda')).toBe('running');
  await expect(call(bus, pullBlocks, { disk: 'vda' }, target)).rejects.toMatchObject({ code: 'OPERATION_UNSUPPORTED' });
  await call(bus, setBlockJobSpeed, { disk: 'vda', bandwidth: 0 }, target);
  for (const disk of ['vda', 'vdb']) await eventually(() => jobOf(disk), undefined, patience);
  await guest.flushesMore(20);
  expect((await told()).sort()).toEqual(['vda pull completed', 'vdb pull completed']);
  const besides = [...images('vda'), ...images('vdb')];
  expect(await faultsOf(guest, { chains: { vda: ['vda-3.qcow2'], vdb: ['vdb-3.qcow2'] }, besides })).toEqual([]);
});

/** Pulls whose work is done, as QEMU lists them. */
const donePulls = async (ask: AskQemu): Promise<string[]> =>
  ((await ask('query-jobs')).return as { id: string; status: string }[]).flatMap(({ id, status }) =>
    status === 'pending' || status === 'concluded' ? [id] : [],
  );

test('two pulls that have concluded while the driver was dead do not end the guest; both ends are told', async () => {
  const target = { target: guest.uuid };
  for (const disk of ['vda', 'vdb']) await call(bus, pullBlocks, { disk, bandwidth: mib / 16 }, target);
  const pid = stack.pidOf(guest.uuid);
  await stack.restartDriver('h1', () =>
    withMonitor(stack, 'h1', async (ask) => {
      const jobs = (await ask('query-jobs')).return as { id: string }[];
      for (const { id } of jobs) await ask('block-job-set-speed', { device: id, speed: 0 });
      await eventually(async () => (await donePulls(ask)).length, 2, patience);
      // Those of an earlier release conclude by themselves.
      for (const { id } of jobs) await ask('job-finalize', { id });
    }),
  );
  for (const disk of ['vda', 'vdb']) await eventually(() => jobOf(disk), undefined, patience);
  await guest.flushesMore(20);
  expect(stack.pidOf(guest.uuid)).toBe(pid);
  expect((await told()).sort()).toEqual(['vda pull completed', 'vdb pull completed']);
  const besides = [...images('vda'), ...images('vdb')];
  expect(await faultsOf(guest, { chains: { vda: ['vda-3.qcow2'], vdb: ['vdb-3.qcow2'] }, besides })).toEqual([]);
});

test('a guest is asked for its nodes all the time while its pulls end, are given up, and end again', async () => {
  const target = { target: guest.uuid };
  const pid = stack.pidOf(guest.uuid);
  let over = false;
  let asked = 0;
  const ask = async (): Promise<void> => {
    const nodes = { execute: 'query-named-block-nodes', arguments: { flat: true } };
    for (; !over; asked++) {
      await call(bus, getDiskSizes, { disk: 'vda' }, target);
      await call(bus, qmpCommand, asked % 2 ? nodes : { hmp: 'info block -n' }, target);
    }
  };
  const asking = Promise.all(Array.from({ length: 4 }, ask));
  for (let round = 0; round < 5; round++) {
    for (const disk of ['vda', 'vdb']) await call(bus, pullBlocks, { disk, bandwidth: mib / 16 }, target);
    for (const disk of ['vda', 'vdb']) await call(bus, abortBlockJob, { disk }, target);
  }
  for (const disk of ['vda', 'vdb']) {
    await call(bus, pullBlocks, { disk, base: await guest.layer(disk, 2) }, target);
  }
  for (const disk of ['vda', 'vdb']) await eventually(() => jobOf(disk), undefined, patience);
  for (const disk of ['vda', 'vdb']) await call(bus, pullBlocks, { disk }, target);
  for (const disk of ['vda', 'vdb']) await eventually(() => jobOf(disk), undefined, patience);
  over = true;
  await asking;
  expect(asked).toBeGreaterThan(20);
  expect(stack.pidOf(guest.uuid)).toBe(pid);
  await guest.flushesMore(20);
  const besides = [...images('vda'), ...images('vdb')];
  expect(await faultsOf(guest, { chains: { vda: ['vda-3.qcow2'], vdb: ['vdb-3.qcow2'] }, besides })).toEqual([]);
});

test('mirrors that are ready when the driver is killed can be pivoted to, and given up', async () => {
  const target = { target: guest.uuid };
  const xml = `<disk type='file'><source file='${guest.file('copy.qcow2')}'/></disk>`;
  await call(bus, copyBlocks, { disk: 'vda', xml, shallow: true, transientJob: true }, target);
  await call(bus, commitBlocks, { disk: 'vdb', active: true }, target);
  for (const disk of ['vda', 'vdb']) await eventually(() => stateOf(disk), 'ready', patience);
  await stack.restartDriver('h1');
  for (const disk of ['vda', 'vdb']) expect(await stateOf(disk)).toBe('ready');
  expect((await guest.xml()).match(/<mirror [^>]*ready='yes'/g)).toHaveLength(2);
  await call(bus, abortBlockJob, { disk: 'vda', pivot: true }, target);
  await call(bus, abortBlockJob, { disk: 'vdb' }, target);
  await guest.flushesMore(20);
  const [old, ...below] = images('vda');
  const chains = { vda: ['copy.qcow2', ...below], vdb: images('vdb') };
  expect(await faultsOf(guest, { chains, besides: [old!] })).toEqual([]);
});

test('a wish to pivot, or to give up, is carried out though the driver is killed over it', async () => {
  const target = { target: guest.uuid };
  const xml = `<disk type='file'><source file='${guest.file('copy.qcow2')}'/></disk>`;
  await call(bus, copyBlocks, { disk: 'vda', xml, transientJob: true }, target);
  await call(bus, commitBlocks, { disk: 'vdb', active: true }, target);
  for (const disk of ['vda', 'vdb']) await eventually(() => stateOf(disk), 'ready', patience);
  await call(bus, abortBlockJob, { disk: 'vda', wait: false }, target);
  await call(bus, abortBlockJob, { disk: 'vdb', pivot: true, wait: false }, target);
  await stack.restartDriver('h1');
  for (const disk of ['vda', 'vdb']) await eventually(() => jobOf(disk), undefined, patience);
  await guest.flushesMore(20);
  const all = await told();
  for (const end of ['vda copy canceled', 'vdb active-commit completed']) {
    expect(all.filter((one) => one === end)).toHaveLength(1);
  }
  const chains = { vda: images('vda'), vdb: ['vdb-0.img'] };
  expect(await faultsOf(guest, { chains, besides: ['copy.qcow2', ...images('vdb')] })).toEqual([]);
});
