/** Guests on backing chains: found by the storage service, told to QEMU whole, refused when they are not known. */
import {
  auditChains,
  createPool,
  createVolume,
  deleteVolume,
  destroyDomain,
  getDomainXml,
  repairChain,
  showChain,
  startDomain,
  undefineDomain,
  usersOfImage,
  verifyChain,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, freePort, needsProgram, Stack, startProcess } from '@virtbus/testkit';
import { mkdirSync, renameSync } from 'node:fs';
import { disk, forgetBackingFormat, guestSays, nodeNames, overlay, qemuImg, rawImage } from './storage-stand';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const file = (...name: string[]): string => stack.folder.file(...name);
const liveXml = async (domain: string): Promise<string> => (await call(bus, getDomainXml, {}, { target: domain })).xml!;
const start = (domain: string): Promise<unknown> => call(bus, startDomain, {}, { target: domain });
const stop = (domain: string): Promise<unknown> => call(bus, destroyDomain, {}, { target: domain });

/** What the live document shows below the active layer: index, format, and what is told by `name`. */
function backingOf(xml: string): string[] {
  const layer =
    /<backingStore type='\w+' index='(\d+)'>\s*<format type='(\w+)'\/>\s*<source (?:file|protocol)='([^']*)'/g;
  return [...xml.matchAll(layer)].map(([, index, format, source]) => `${index} ${format} ${source!.split('/').at(-1)}`);
}

test('an overlay starts on the base that its header records, and the definition stays as it was', async () => {
  rawImage(file('one-base.img'), 'the base');
  overlay(file('one.qcow2'), 'one-base.img', 'raw');
  await stack.run(bus, { name: 'one', devices: disk(file('one.qcow2'), 'qcow2') });
  const xml = await liveXml('one');
  expect(xml).toMatch(/<source file='[^']*one\.qcow2' index='1'\/>/);
  expect(backingOf(xml)).toEqual(['2 raw one-base.img']);
  expect(xml).toMatch(/<backingStore\/>\s*<\/backingStore>/);
  expect((await call(bus, getDomainXml, { inactive: true }, { target: 'one' })).xml).not.toContain('backingStore');
  await stop('one');
});

test('numbers go to what the document names first, then to what was found, from the last disk to the first', async () => {
  rawImage(file('order-base.img'), 'base');
  overlay(file('order-a.qcow2'), 'order-base.img', 'raw');
  overlay(file('order-b.qcow2'), 'order-base.img', 'raw');
  const disks = `${disk(file('order-a.qcow2'), 'qcow2')}${disk(file('order-b.qcow2'), 'qcow2', '', 'vdb')}`;
  await stack.run(bus, { name: 'order', devices: disks });
  const xml = await liveXml('order');
  expect(xml).toMatch(/order-b\.qcow2' index='1'/);
  expect(xml).toMatch(/order-a\.qcow2' index='2'/);
  expect(backingOf(xml)).toEqual(['4 raw order-base.img', '3 raw order-base.img']);
  await stop('order');
});

needsProgram('qemu-nbd').test('a guest reads through twelve images, the last of them served over NBD', async () => {
  const port = await freePort();
  rawImage(file('golden.img'), 'words from the deepest layer');
  const words = ['qemu-nbd', '-r', '-t', '-e', '4', '-b', '127.0.0.1', '-p', String(port), '-x', 'golden', '-f', 'raw'];
  await using _server = await startProcess([...words, file('golden.img')], { name: 'qemu-nbd' });
  mkdirSync(file('layers', 'odd'), { recursive: true, mode: 0o755 });
  const nbd = `nbd://127.0.0.1:${port}/golden`;
  await eventually(() => qemuImg('info', '-f', 'raw', nbd).includes('4 MiB'), true);
  qemuImg('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', nbd, file('layers', 'odd', 'l1.qcow2'));
  // Relative names throughout, some in another folder, one of the old version of the format.
  for (let n = 2; n <= 11; n++) {
    const folder = n % 2 ? 'odd/' : '';
    const below = n % 2 ? `../l${n - 1}.qcow2` : `odd/l${n - 1}.qcow2`;
    const more = n === 5 ? ['-o', 'compat=0.10'] : [];
    qemuImg('create', '-q', '-f', 'qcow2', ...more, '-F', 'qcow2', '-b', below, file('layers', `${folder}l${n}.qcow2`));
  }
  const top = file('layers', 'odd', 'l11.qcow2');
  const { uuid } = await stack.run(bus, { name: 'deep', linux: true, devices: disk(top, 'qcow2') });

  const expected = Array.from({ length: 10 }, (_, i) => `${i + 2} qcow2 l${10 - i}.qcow2`);
  expect(backingOf(await liveXml(uuid))).toEqual([...expected, '12 raw nbd']);
  const nodes = Array.from({ length: 12 }, (_, i) => [`libvirt-${i + 1}-format`, `libvirt-${i + 1}-storage`]).flat();
  expect(await nodeNames(bus, uuid)).toEqual(nodes.sort());

  const { chains } = await call(bus, showChain, { domain: uuid }, { target: 'h1' });
  const [{ chain, running }] = chains as [(typeof chains)[number]];
  expect(running).toBe(true);
  expect(chain!.layers.map(({ formatKnown }) => formatKnown)).toEqual(['given', ...Array(11).fill('recorded')]);
  expect(await call(bus, verifyChain, { domain: uuid }, { target: 'h1' })).toEqual({
    disks: [{ target: 'vda', layers: 12, differences: [] }],
  });

  await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
  await guestSays(bus, uuid, 'head -c 28 /dev/vda; echo', 'words from the deepest layer');
  await stop('deep');
});

test('a backing file without a recorded format keeps the guest from starting; the repair it names mends that', async () => {
  rawImage(file('bare-base.img'), 'base');
  overlay(file('bare.qcow2'), 'bare-base.img', 'raw');
  forgetBackingFormat(file('bare.qcow2'));
  await stack.define(bus, { name: 'bare', devices: disk(file('bare.qcow2'), 'qcow2') });
  const reason =
    `format of backing image 'bare-base.img' of image '${file('bare.qcow2')}' was not specified in the image metadata; ` +
    `when you know it, record it: virtbus chain repair ${file('bare.qcow2')} --format FORMAT`;
  const refused = { code: 'BACKING_FORMAT_MISSING', message: expect.stringContaining(reason) as string };
  await expect(start('bare')).rejects.toMatchObject(refused);

  await eventually(async () => (await call(bus, auditChains, {}, { target: 'h1' })).faults.length, 1);
  const { faults } = await call(bus, auditChains, {}, { target: 'h1' });
  expect(faults).toMatchObject([
    { what: "disk vda of domain 'bare'", reason: expect.stringContaining(reason) as string },
  ]);
  expect(faults[0]!.repair).toBe(`virtbus chain repair ${file('bare.qcow2')} --format FORMAT --host h1`);

  const repair = { overlay: file('bare.qcow2') };
  const unproven = { code: 'OPERATION_INVALID', message: expect.stringContaining('state it with --format') as string };
  await expect(call(bus, repairChain, repair, { target: 'h1' })).rejects.toMatchObject(unproven);
  const wrong = call(bus, repairChain, { ...repair, format: 'qcow2' }, { target: 'h1' });
  await expect(wrong).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  const done = await call(bus, repairChain, { ...repair, format: 'raw' }, { target: 'h1' });
  expect(done).toMatchObject({ format: 'raw', known: 'stated', changed: true, base: file('bare-base.img') });
  expect(qemuImg('info', '--output=json', file('bare.qcow2'))).toContain('"backing-filename-format": "raw"');
  await start('bare');
  expect(backingOf(await liveXml('bare'))).toEqual(['2 raw bare-base.img']);

  const busy = call(bus, repairChain, { ...repair, format: 'raw' }, { target: 'h1' });
  await expect(busy).rejects.toMatchObject({
    code: 'IMAGE_IN_USE',
    message: expect.stringContaining("'bare'") as string,
  });
  await stop('bare');
});

test('the name of a protocol driver in the place of a format means raw', async () => {
  rawImage(file('proto-base.img'), 'base');
  for (const driver of ['nbd', 'file']) {
    const path = file(`proto-${driver}.qcow2`);
    qemuImg('create', '-q', '-u', '-f', 'qcow2', '-F', driver, '-b', file('proto-base.img'), path, '4M');
    await stack.run(bus, { name: `proto-${driver}`, devices: disk(path, 'qcow2') });
    expect(backingOf(await liveXml(`proto-${driver}`))).toEqual(['2 raw proto-base.img']);
    await stop(`proto-${driver}`);
  }
});

test('a raw disk stays raw whatever its guest has written into it', async () => {
  qemuImg('create', '-q', '-u', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/shadow', file('trap.img'), '4M');
  const noFormat = `<disk type='file'><source file='${file('trap.img')}'/><target dev='vda' bus='virtio'/></disk>`;
  for (const [name, devices] of [
    ['trap-given', disk(file('trap.img'), 'raw')],
    ['trap-silent', noFormat],
  ] as const) {
    await stack.run(bus, { name, devices });
    const xml = await liveXml(name);
    expect(xml).toContain("type='raw'");
    expect(xml).not.toContain('shadow');
    expect(await nodeNames(bus, name)).toEqual(['libvirt-1-format', 'libvirt-1-storage']);
    await stop(name);
  }
});

test('an image that was replaced under its guest is found out, layer by layer', async () => {
  rawImage(file('moved-base.img'), 'base');
  overlay(file('moved.qcow2'), 'moved-base.img', 'raw');
  const { uuid } = await stack.run(bus, { name: 'moved', devices: disk(file('moved.qcow2'), 'qcow2') });
  renameSync(file('moved-base.img'), file('elsewhere.img'));
  const missing = await call(bus, verifyChain, { domain: uuid }, { target: 'h1' });
  expect(missing.disks[0]!.differences).toMatchObject([
    { layer: 1, what: expect.stringContaining('No such file') as string },
  ]);
  rawImage(file('moved-base.img'), 'another');
  const other = await call(bus, verifyChain, { domain: uuid }, { target: 'h1' });
  expect(other.disks[0]!.differences).toMatchObject([{ layer: 1, what: 'another image stands there now' }]);
  await stop('moved');
});

test('who stands on an image is known of guests and of definitions', async () => {
  rawImage(file('shared-base.img'), 'base');
  overlay(file('user-a.qcow2'), 'shared-base.img', 'raw');
  overlay(file('user-b.qcow2'), 'shared-base.img', 'raw');
  await stack.run(bus, { name: 'user-a', devices: disk(file('user-a.qcow2'), 'qcow2') });
  await stack.define(bus, { name: 'user-b', devices: disk(file('user-b.qcow2'), 'qcow2') });
  const users = async (): Promise<string[]> => {
    const answer = await call(bus, usersOfImage, { image: file('shared-base.img') }, { target: 'h1' });
    return answer.users.map(({ name, layer, running }) => `${name} ${layer} ${running}`).sort();
  };
  await eventually(users, ['user-a 1 true', 'user-b 1 false']);
  await stop('user-a');
  await eventually(users, ['user-a 1 false', 'user-b 1 false']);
  await call(bus, undefineDomain, {}, { target: 'user-b' });
  await eventually(users, ['user-a 1 false']);
});

test('a disk that names a volume stands on what the pool has there, and the volume is not deleted under it', async () => {
  mkdirSync(file('pool'), { mode: 0o755 });
  const pool = `<pool type='dir'><name>images</name><target><path>${file('pool')}</path></target></pool>`;
  await call(bus, createPool, { xml: pool }, { target: 'h1' });
  const volume = (name: string, backing = ''): string =>
    `<volume><name>${name}</name><capacity>4194304</capacity><target><format type='qcow2'/></target>${backing}</volume>`;
  const path = file('pool', 'golden.qcow2');
  await call(bus, createVolume, { pool: 'images', xml: volume('golden.qcow2') }, { target: 'h1' });
  const backing = `<backingStore><path>${path}</path><format type='qcow2'/></backingStore>`;
  await call(bus, createVolume, { pool: 'images', xml: volume('web.qcow2', backing) }, { target: 'h1' });
  const devices = `<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/><source pool='images' volume='web.qcow2'/><target dev='vda' bus='virtio'/></disk>`;
  const { uuid } = await stack.run(bus, { name: 'pooled', devices });
  expect(backingOf(await liveXml(uuid))).toEqual(['2 qcow2 golden.qcow2']);
  for (const name of ['web.qcow2', 'golden.qcow2']) {
    const gone = call(bus, deleteVolume, { pool: 'images', volume: name }, { target: 'h1' });
    await expect(gone).rejects.toMatchObject({ code: 'IMAGE_IN_USE' });
  }
  await stop('pooled');
  const { users } = await call(bus, usersOfImage, { image: path }, { target: 'h1' });
  expect(users.map(({ kind, name, layer }) => `${kind} ${name} ${layer}`).sort()).toEqual([
    'domain pooled 1',
    'volume images/web.qcow2 1',
  ]);
  await call(bus, startDomain, {}, { target: uuid });
  await stop('pooled');
});
