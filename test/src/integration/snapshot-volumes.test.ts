/** Snapshots of a domain whose disk is a volume of a pool: where that lies only storage knows while the domain is off. */
import { existsSync, mkdirSync } from 'node:fs';
import { createPool, createVolume, destroyDomain, getDomainXml, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import type { Stack } from '@virtbus/testkit';
import { fill, holds, SnapshotStand, snapshotsIn } from './snapshot-stand';
import { qemuImg } from './storage-stand';

jest.setTimeout(240_000);

let stand: SnapshotStand;
let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stand = await SnapshotStand.start();
  ({ stack, bus } = stand);
  mkdirSync(file('images'), { mode: 0o755 });
  const xml = `<pool type='dir'><name>images</name><target><path>${file('images')}</path></target></pool>`;
  await call(bus, createPool, { xml }, { target: 'h1' });
});
afterAll(() => stand?.[Symbol.asyncDispose]());

const file = (...names: string[]): string => stack.folder.file(...names);

/** A domain whose disk is a volume, of which it says the format or not. */
async function domainOn(volume: string, format: string, driver: string): Promise<string> {
  const capacity = `<capacity>16777216</capacity><target><format type='${format}'/></target>`;
  const xml = `<volume><name>${volume}</name>${capacity}</volume>`;
  await call(bus, createVolume, { pool: 'images', xml }, { target: 'h1' });
  const devices = `<disk type='volume' device='disk'>${driver}<source pool='images' volume='${volume}'/><target dev='vda' bus='virtio'/></disk>`;
  return (await stack.define(bus, { name: volume, devices })).uuid;
}

/** Upon the disk as it is, in this file. */
const takeUpon = (domain: string, name: string, path: string) =>
  stand.take(domain, name, { diskOnly: true }, `<disks><disk name='vda'><source file='${path}'/></disk></disks>`);

/** What the definition says of its disk. */
const defined = async (domain: string): Promise<string> => {
  const { xml = '' } = await call(bus, getDomainXml, { inactive: true }, { target: domain });
  return /<disk [^]*?<\/disk>/.exec(xml)?.[0] ?? '';
};

const namesIn = (path: string): string[] => snapshotsIn(path).map(({ name }) => name);

async function runs(domain: string): Promise<void> {
  await call(bus, startDomain, {}, { target: domain });
  await call(bus, destroyDomain, {}, { target: domain });
}

const words = (text: string): string => expect.stringContaining(text) as string;

test.each(["<driver name='qemu' type='qcow2'/>", ''])(
  'a domain that is off is kept in its volume or below overlays, goes back and loses its snapshots again: %j',
  async (driver) => {
    const volume = `whole${driver ? '' : '-unsaid'}.qcow2`;
    const uuid = await domainOn(volume, 'qcow2', driver);
    const path = file('images', volume);
    fill(path, 1);
    await stand.take(uuid, 'inner');
    expect(namesIn(path)).toEqual(['inner']);
    fill(path, 2);
    const overlay = file(`${volume}.outer`);
    await takeUpon(uuid, 'outer', overlay);
    expect(await stand.sourceOf(uuid)).toBe(overlay);
    expect(JSON.parse(qemuImg('info', '--output=json', overlay))).toMatchObject({
      'full-backing-filename': path,
      'backing-filename-format': 'qcow2',
    });
    await runs(uuid);
    fill(overlay, 3);
    await stand.back(uuid, 'outer');
    const now = await stand.sourceOf(uuid);
    expect([holds(now, 2), existsSync(overlay)]).toEqual([true, false]);
    await runs(uuid);
    fill(now, 4);
    await stand.remove(uuid, 'outer');
    expect(await defined(uuid)).toContain(`volume='${volume}'`);
    expect([existsSync(now), holds(path, 4)]).toEqual([false, true]);
    await stand.back(uuid, 'inner');
    expect(holds(path, 1)).toBe(true);
    await stand.remove(uuid, 'inner');
    expect([namesIn(path), await stand.names(uuid)]).toEqual([[], []]);
    await runs(uuid);
  },
);

test('snapshots of a guest on a volume are gone back to and deleted when it is off', async () => {
  const uuid = await domainOn('ran.qcow2', 'qcow2', "<driver name='qemu' type='qcow2'/>");
  const path = file('images', 'ran.qcow2');
  fill(path, 1);
  await call(bus, startDomain, {}, { target: uuid });
  await stand.take(uuid, 'inner');
  await stand.take(uuid, 'outer', { diskOnly: true });
  await call(bus, destroyDomain, {}, { target: uuid });
  const overlay = path.replace('.qcow2', '.outer');
  expect(await stand.sourceOf(uuid)).toBe(overlay);
  fill(overlay, 2);
  await stand.back(uuid, 'outer');
  const now = await stand.sourceOf(uuid);
  expect(holds(now, 1)).toBe(true);
  fill(now, 3);
  await stand.remove(uuid, 'outer');
  expect([existsSync(now), holds(path, 3)]).toEqual([false, true]);
  await runs(uuid);
  expect((await stand.back(uuid, 'inner')).domain).toMatchObject({ state: 'running' });
  await call(bus, destroyDomain, {}, { target: uuid });
  expect(holds(path, 1)).toBe(true);
  await stand.remove(uuid, 'inner');
  expect(namesIn(path)).toEqual([]);
  await runs(uuid);
});

test('a snapshot that was taken of a volume while it was off goes while its guest runs, or the guest goes back to it', async () => {
  const uuid = await domainOn('then-ran.qcow2', 'qcow2', "<driver name='qemu' type='qcow2'/>");
  const path = file('images', 'then-ran.qcow2');
  for (const [n, name] of ['one', 'two'].entries()) {
    fill(n === 0 ? path : file('then-ran.one'), n + 1);
    await takeUpon(uuid, name, file(`then-ran.${name}`));
  }
  await call(bus, startDomain, {}, { target: uuid });
  await stand.remove(uuid, 'one');
  expect([existsSync(file('then-ran.one')), holds(path, 2)]).toEqual([false, true]);
  await stand.back(uuid, 'two', { running: true, force: true });
  await call(bus, destroyDomain, {}, { target: uuid });
  const now = await stand.sourceOf(uuid);
  expect([holds(now, 2), existsSync(file('then-ran.two'))]).toEqual([true, false]);
  fill(now, 3);
  await call(bus, startDomain, {}, { target: uuid });
  await stand.remove(uuid, 'two');
  await call(bus, destroyDomain, {}, { target: uuid });
  expect([existsSync(now), holds(path, 3)]).toEqual([false, true]);
  await runs(uuid);
});

test('all snapshots of a volume go at once, those within it and those below overlays', async () => {
  const uuid = await domainOn('all.qcow2', 'qcow2', "<driver name='qemu' type='qcow2'/>");
  const path = file('images', 'all.qcow2');
  await stand.take(uuid, 'inner');
  for (const name of ['one', 'two']) {
    await takeUpon(uuid, name, file(`all.${name}`));
    fill(file(`all.${name}`), 5);
  }
  await stand.remove(uuid, 'inner', { children: true });
  expect([namesIn(path), await stand.names(uuid), holds(path, 5)]).toEqual([[], [], true]);
  expect(await defined(uuid)).toContain(`volume='all.qcow2'`);
  await runs(uuid);
});

test('what cannot be done with a volume says why, and nothing has happened', async () => {
  const uuid = await domainOn('named.qcow2', 'qcow2', "<driver name='qemu' type='qcow2'/>");
  await expect(stand.take(uuid, 'one', { diskOnly: true })).rejects.toMatchObject({
    code: 'CONFIG_UNSUPPORTED',
    message: words("it is volume 'named.qcow2' of pool 'images'; name the file of its overlay"),
  });
  const raw = await domainOn('plain.img', 'raw', '');
  await expect(stand.take(raw, 'inner')).rejects.toMatchObject({
    code: 'CONFIG_UNSUPPORTED',
    message: words('internal snapshot for disk vda unsupported for storage type raw'),
  });
  for (const one of [uuid, raw]) {
    expect(await stand.names(one)).toEqual([]);
    await runs(one);
  }
});
