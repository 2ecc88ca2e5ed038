/** The disk that a driver keeps its records on is full for a while, also as another process of it comes. */
import { execFileSync } from 'node:child_process';
import { cpSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isVirtError, listBlockJobs, pullBlocks, setBlockJobSpeed, type VirtError } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsRoot, Stack } from '@virtbus/testkit';
import { faultsOf } from '../block-stand/sound';
import { WritingGuest } from '../block-stand/writing-guest';

jest.setTimeout(240_000);

const mib = 1024 ** 2;
const patience = { timeoutMs: 60_000 };
let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const jobsOf = async ({ uuid }: WritingGuest) => (await call(bus, listBlockJobs, {}, { target: uuid })).jobs;

/** What the driver keeps goes to a file system of its own, which is small. */
async function moveToSmallDisk(kept: string): Promise<void> {
  await stack.restartDriver('h1', async () => {
    const away = `${kept}.away`;
    renameSync(kept, away);
    execFileSync('mkdir', ['-m', '700', kept]);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=700', 'none', kept]);
    cpSync(away, kept, { recursive: true });
  });
}

const isFull = (error: unknown): boolean =>
  isVirtError(error, 'SYSTEM_ERROR') && (error as VirtError).message.includes('no space left on the device');

/** Commands whose answers are kept, until there is no room for one. */
async function untilRefused(guest: WritingGuest): Promise<void> {
  for (;;) {
    try {
      await call(bus, setBlockJobSpeed, { disk: 'vda', bandwidth: mib / 2 }, { target: guest.uuid });
    } catch (error) {
      if (isFull(error)) return;
      throw error;
    }
  }
}

needsRoot().test('a job that ends meanwhile is told once there is room, and no disk counts as busy', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'full' });
  const target = { target: guest.uuid };
  const kept = stack.folder.file('state', 'hosts', 'h1', 'qemu');
  const filler = join(kept, 'filler');
  await moveToSmallDisk(kept);
  try {
    await call(bus, pullBlocks, { disk: 'vda', bandwidth: mib / 2 }, target);
    expect(() => writeFileSync(filler, Buffer.alloc(8 * mib))).toThrow('ENOSPC');
    await untilRefused(guest);
    await expect(call(bus, pullBlocks, { disk: 'vdb' }, target)).rejects.toMatchObject({ code: 'SYSTEM_ERROR' });
    await stack.drivers.get('h1')!.waitFor('the end of a block job could not be followed yet', patience);
    await stack.drivers.get('h1')!.stop('SIGKILL');
    const next = await stack.startDriver('h1');
    await next.waitFor('no space left on the device', patience);
    rmSync(filler);
    await stack.driverReady('h1');
    await eventually(() => jobsOf(guest), [], patience);
    await call(bus, pullBlocks, { disk: 'vdb' }, target);
    await eventually(() => jobsOf(guest), [], patience);
    const events = await stack.events(bus, guest.uuid);
    const told = events
      .filter((event) => event.class === 'block-job')
      .map(({ type, data }) => `${data?.disk as string} ${type}`);
    expect(told).toEqual(['vda completed', 'vdb completed']);
    const besides = ['vda', 'vdb'].flatMap((disk) => [`${disk}-2.qcow2`, `${disk}-1.qcow2`, `${disk}-0.img`]);
    expect(await faultsOf(guest, { chains: { vda: ['vda-3.qcow2'], vdb: ['vdb-3.qcow2'] }, besides })).toEqual([]);
  } finally {
    rmSync(filler, { force: true });
    await stack.drivers.get('h1')!.stop('SIGKILL');
    execFileSync('umount', ['-l', kept]);
  }
});
