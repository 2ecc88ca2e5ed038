/** Media of a drive are changed while its guest runs: whatever happens, the document says what the drive has. */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { getDomainXml, qmpCommand, startDomain, storageLeases, updateDevice } from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import { eventually, needsProgram, Stack, startProcess } from '@virtbus/testkit';
import { nodeNames, qemuImg, rawImage } from './storage-stand';

jest.setTimeout(240_000);

const drive = (image?: string, more = ''): string =>
  `<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>${image ? `<source file='${image}'/>` : ''}<target dev='sda' bus='sata'/>${more}<readonly/></disk>`;

interface Stand {
  stack: Stack;
  bus: Bus;
  uuid: string;
  one: string;
  two: string;
  /** Whether this is the medium, for the document and for QEMU; `false` where they disagree. */
  both: (image: string | undefined) => Promise<boolean>;
  change: (xml: string, timeoutMs?: number) => Promise<unknown>;
}

async function stand(): Promise<Stand> {
  const stack = await Stack.start();
  const bus = await stack.connect();
  const [one, two] = ['one.iso', 'two.iso'].map((name) => rawImage(stack.folder.file(name), name)) as [string, string];
  const { uuid } = await stack.run(bus, { name: 'media', devices: drive(one) });
  const target = { target: uuid };
  const both = async (image: string | undefined): Promise<boolean> => {
    const { xml = '' } = await call(bus, getDomainXml, {}, target);
    const { result } = await call(bus, qmpCommand, { execute: 'query-block' }, target);
    const found = (result as { qdev?: string; inserted?: { file: string }; tray_open?: boolean }[]).find(
      ({ qdev }) => qdev === 'sata0-0-0',
    );
    const written = /<source file='([^']*)'/.exec(xml)?.[1];
    return found?.tray_open === false && found.inserted?.file === image && written === image;
  };
  const change = (xml: string, timeoutMs?: number) => call(bus, updateDevice, { xml }, { ...target, timeoutMs });
  return { stack, bus, uuid, one, two, both, change };
}

const folderOf = (stack: Stack, uuid: string): string =>
  join(stack.folder.path, 'state', 'hosts', 'h1', 'qemu', 'domains', uuid);

/** The driver has noted that the drive is being given another medium. */
const isNoted = (stack: Stack, uuid: string): boolean =>
  readFileSync(join(folderOf(stack, uuid), 'record.json'), 'utf8').includes('"changing"');

test('one for another, none, and the same again, which stays as it is', async () => {
  const { bus, uuid, one, two, both, change, ...rest } = await stand();
  await using _stack = rest.stack;
  const nodes = await nodeNames(bus, uuid);
  await change(drive(two));
  expect(await both(two)).toBe(true);
  const now = await nodeNames(bus, uuid);
  expect(now).toHaveLength(nodes.length);
  await change(drive(two));
  expect(await nodeNames(bus, uuid)).toEqual(now);
  await change(drive());
  expect(await both(undefined)).toBe(true);
  await change(drive(one));
  expect(await both(one)).toBe(true);
});

needsProgram('qemu-nbd').test('one that QEMU refuses leaves the drive with what it had', async () => {
  const { stack, bus, uuid, one, two, both, change } = await stand();
  await using _stack = stack;
  const nodes = await nodeNames(bus, uuid);
  {
    // Whoever writes to an image locks it.
    const socket = stack.folder.file('nbd.sock');
    await using server = await startProcess(['qemu-nbd', '-t', '-f', 'raw', '-k', socket, two], { name: 'qemu-nbd' });
    await eventually(() => qemuImg('info', `nbd+unix:///?socket=${socket}`).includes('virtual size'), true);
    await expect(change(drive(two))).rejects.toMatchObject({
      code: 'OPERATION_FAILED',
      message: expect.stringMatching(/drive 'sda' keeps what it had: .*Failed to get shared "write" lock/),
    });
    expect(await both(one)).toBe(true);
    await server.stop('SIGTERM');
  }
  expect(await nodeNames(bus, uuid)).toEqual(nodes);
  await change(drive(two));
  expect(await both(two)).toBe(true);
});

test('limits that QEMU refuses leave the drive with the medium that it had', async () => {
  const { bus, uuid, one, two, both, change, ...rest } = await stand();
  await using _stack = rest.stack;
  const nodes = await nodeNames(bus, uuid);
  const tooMuch = '<iotune><read_iops_sec>2000000000000000</read_iops_sec></iotune>';
  await expect(change(drive(two, tooMuch))).rejects.toMatchObject({ code: 'OPERATION_FAILED' });
  expect(await both(one)).toBe(true);
  expect(await nodeNames(bus, uuid)).toEqual(nodes);
});

test('a QEMU that answers too late', async () => {
  const { stack, bus, uuid, one, two, both, change } = await stand();
  await using _stack = stack;
  const nodes = await nodeNames(bus, uuid);
  process.kill(stack.pidOf(uuid), 'SIGSTOP');
  await expect(change(drive(two), 5_000)).rejects.toMatchObject({ code: 'OPERATION_TIMEOUT' });
  process.kill(stack.pidOf(uuid), 'SIGCONT');
  await eventually(() => isNoted(stack, uuid), false);
  expect(await both(one)).toBe(true);
  expect(await nodeNames(bus, uuid)).toEqual(nodes);
  await change(drive(two));
  expect(await both(two)).toBe(true);
});

test.each([
  ['before the new one was in', false],
  ['after that', true],
])('a driver that dies %s', async (_, isIn) => {
  const { stack, bus, uuid, one, two, both, change } = await stand();
  await using _stack = stack;
  const nodes = await nodeNames(bus, uuid);
  process.kill(stack.pidOf(uuid), 'SIGSTOP');
  const changed = change(drive(two), 30_000).catch(() => undefined);
  await eventually(() => isNoted(stack, uuid), true);
  const [kept, now] = [stack.folder.file('kept'), folderOf(stack, uuid)];
  cpSync(now, kept, { recursive: true });
  if (isIn) {
    process.kill(stack.pidOf(uuid), 'SIGCONT');
    await changed;
  }
  await stack.restartDriver('h1', async () => {
    // As it was on disk when the drive had it already, and nobody had noted that.
    if (!isIn) return;
    rmSync(now, { recursive: true });
    cpSync(kept, now, { recursive: true });
  });
  if (!isIn) {
    // Nobody knows yet which of them the drive has: nobody else gets either.
    const service = await stack.connect('service');
    const held = async (): Promise<string[]> => {
      const { holders } = await callDriver(service, { host: 'h1', driver: 'storage' }, storageLeases, { domain: uuid });
      return holders.flatMap(({ leases }) => leases.map(({ path }) => path)).sort();
    };
    await eventually(async () => (await stack.inventory('h1'))[0]?.state, 'running');
    expect(await held()).toEqual([one, two]);
    process.kill(stack.pidOf(uuid), 'SIGCONT');
  }
  await eventually(() => isNoted(stack, uuid), false);
  await eventually(() => both(isIn ? two : one), true);
  expect(await nodeNames(bus, uuid)).toHaveLength(nodes.length);
  // What it does not have is free: another guest may write to it.
  const free = isIn ? one : two;
  const writer = `<disk type='file'><driver name='qemu' type='raw'/><source file='${free}'/><target dev='vda' bus='virtio'/></disk>`;
  const other = await stack.define(bus, { name: 'writer', devices: writer });
  const started = (): Promise<boolean> =>
    call(bus, startDomain, {}, { target: other.uuid }).then(
      () => true,
      () => false,
    );
  await eventually(started, true, { timeoutMs: 30_000 });
});
