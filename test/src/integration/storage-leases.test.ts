/** Two domains cannot write one image: on one host, on two, after crashes of any service. */
import {
  attachDevice,
  createDomain,
  destroyDomain,
  detachDevice,
  driverDefine,
  driverStorage,
  dropLeases,
  listLeases,
  repairChain,
  resumeDomain,
  startDomain,
  storageLeases,
  storagePrepare,
  suspendDomain,
  undefineDomain,
  usersOfImage,
} from '@virtbus/shared';
import { call, callDriver, newId, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { disk, forgetBackingFormat, overlay, qemuImg, rawImage } from './storage-stand';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
let service: Bus;
beforeAll(async () => {
  stack = await Stack.start({ hosts: ['h1', 'h2'] });
  bus = await stack.connect();
  service = await stack.connect('service');
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const file = (name: string): string => stack.folder.file(name);
const start = (domain: string): Promise<unknown> => call(bus, startDomain, {}, { target: domain });
const stop = (domain: string): Promise<unknown> => call(bus, destroyDomain, {}, { target: domain });
const inUse = (path: string, by: string): object => ({
  code: 'IMAGE_IN_USE',
  message: `Requested operation is not valid: ${path} is in use: ${by}`,
});

/** What a host's book says: domain, disk, mode, image. */
async function leases(host: string): Promise<string[]> {
  const { holders } = await callDriver(service, { host, driver: 'storage' }, storageLeases, {});
  const told = holders.flatMap((holder) =>
    holder.leases.map(({ target, mode, path }) => `${holder.name} ${target} ${mode} ${path.split('/').at(-1)}`),
  );
  return told.sort();
}

test('of two domains with one image the second is refused until the first has stopped', async () => {
  rawImage(file('both.img'), 'both');
  await stack.run(bus, { host: 'h1', name: 'first', devices: disk(file('both.img'), 'raw') });
  expect(await leases('h1')).toEqual(['first vda exclusive both.img']);
  await stack.define(bus, { host: 'h1', name: 'second', devices: disk(file('both.img'), 'raw') });
  await expect(start('second')).rejects.toMatchObject(inUse(file('both.img'), "domain 'first' on host 'h1'"));
  const reader = disk(file('both.img'), 'raw', '<readonly/>');
  await stack.define(bus, { host: 'h1', name: 'reader', devices: reader });
  await expect(start('reader')).rejects.toMatchObject({ code: 'IMAGE_IN_USE' });
  await stop('first');
  await start('second');
  await stop('second');
  await eventually(() => leases('h1'), []);
});

test('many domains read one base and share what is shareable; nobody writes to it meanwhile', async () => {
  rawImage(file('base.img'), 'base');
  for (const name of ['a', 'b']) {
    overlay(file(`${name}.qcow2`), 'base.img', 'raw');
    await stack.run(bus, { host: 'h1', name: `reads-${name}`, devices: disk(file(`${name}.qcow2`), 'qcow2') });
  }
  await stack.define(bus, { host: 'h1', name: 'writer', devices: disk(file('base.img'), 'raw') });
  await expect(start('writer')).rejects.toMatchObject({ code: 'IMAGE_IN_USE' });
  await stop('reads-a');
  await stop('reads-b');
  await start('writer');
  await stop('writer');
});

test('two hosts meet over one image, and a lost JetStream makes them forget nothing', async () => {
  rawImage(file('fleet.img'), 'fleet');
  const document = async (name: string): Promise<string> =>
    stack.domainXml({ name, devices: disk(file('fleet.img'), 'raw') });
  await call(bus, createDomain, { xml: await document('near'), host: 'h1' });
  const far = async (): Promise<unknown> => call(bus, createDomain, { xml: await document('far'), host: 'h2' });
  const refused = inUse(file('fleet.img'), "domain 'near' on host 'h1'");
  await expect(far()).rejects.toMatchObject(refused);
  expect(await leases('h2')).toEqual([]);

  const admin = await stack.connect('admin');
  const jsm = await admin.jsm();
  await jsm.streams.delete('KV_virtbus_leases');
  await eventually(
    async () => (await jsm.streams.info('KV_virtbus_leases').catch(() => undefined))?.state.messages,
    1,
    {
      timeoutMs: 20_000,
    },
  );
  await expect(far()).rejects.toMatchObject(refused);
  await stop('near');
  await far();
  await stop('far');
});

test('a disk that joins is leased with the domain, and let go when it has left', async () => {
  rawImage(file('root.img'), 'root');
  rawImage(file('more.img'), 'more');
  const { uuid } = await stack.run(bus, {
    host: 'h1',
    name: 'plug',
    linux: true,
    devices: disk(file('root.img'), 'raw'),
  });
  await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
  const xml = disk(file('more.img'), 'raw', '', 'vdb');
  await call(bus, attachDevice, { xml, affect: 'live' }, { target: uuid });
  expect(await leases('h1')).toEqual(['plug vda exclusive root.img', 'plug vdb exclusive more.img']);
  await call(bus, detachDevice, { xml, affect: 'live' }, { target: uuid });
  await eventually(() => leases('h1'), ['plug vda exclusive root.img'], { timeoutMs: 30_000 });
  const own = call(bus, attachDevice, { xml: disk(file('root.img'), 'raw', '', 'vdb') }, { target: uuid });
  await expect(own).rejects.toMatchObject(inUse(file('root.img'), "domain 'plug' on host 'h1'"));
  await stop('plug');
  await eventually(() => leases('h1'), []);
});

test('a command id that was used before takes nothing from the disk that it brought', async () => {
  const [first, second] = [rawImage(file('once.img'), 'once'), rawImage(file('twice.img'), 'twice')];
  const { uuid } = await stack.run(bus, { host: 'h1', name: 'again' });
  const attach = (path: string, target: string): Promise<unknown> =>
    call(bus, attachDevice, { xml: disk(path, 'raw', '', target), affect: 'live' }, { target: uuid, id: 'one-id' });
  const answer = await attach(first, 'vdb');
  expect(await attach(second, 'vdc')).toEqual(answer);
  expect(await leases('h1')).toEqual(['again vdb exclusive once.img']);
  await stack.define(bus, { host: 'h1', name: 'other', devices: disk(first, 'raw') });
  await expect(start('other')).rejects.toMatchObject(inUse(first, "domain 'again' on host 'h1'"));
  await stop(uuid);
  await eventually(() => leases('h1'), []);
});

test('a disk that is refused because there is one of its name already takes nothing from that one', async () => {
  const [mine, other] = [rawImage(file('mine.img'), 'mine'), rawImage(file('other.img'), 'other')];
  const { uuid } = await stack.run(bus, { host: 'h1', name: 'named', devices: disk(mine, 'raw') });
  const attached = call(bus, attachDevice, { xml: disk(other, 'raw'), affect: 'live' }, { target: uuid });
  await expect(attached).rejects.toMatchObject({ code: 'OPERATION_INVALID' });
  // The driver's next word to the books is that of what happens to it next.
  await call(bus, suspendDomain, {}, { target: uuid });
  await call(bus, resumeDomain, {}, { target: uuid });
  await eventually(() => leases('h1'), ['named vda exclusive mine.img']);
  const taker = await stack.define(bus, { host: 'h1', name: 'taker', devices: disk(mine, 'raw') });
  await expect(start(taker.uuid)).rejects.toMatchObject(inUse(mine, "domain 'named' on host 'h1'"));
  await stop('named');
  await eventually(() => leases('h1'), []);
});

test('a start that fails holds nothing, and so does the same command again after it was done', async () => {
  rawImage(file('fails.img'), 'fails');
  const port = `<serial type='tcp'><source mode='connect' host='127.0.0.1' service='1'/></serial>`;
  await stack.define(bus, { host: 'h1', name: 'fails', devices: disk(file('fails.img'), 'raw') + port });
  await expect(start('fails')).rejects.toThrow();
  expect(await leases('h1')).toEqual([]);

  const id = newId();
  await stack.define(bus, { host: 'h1', name: 'once', devices: disk(file('fails.img'), 'raw') });
  await call(bus, startDomain, {}, { target: 'once', id });
  await stop('once');
  await eventually(() => leases('h1'), []);
  await call(bus, startDomain, {}, { target: 'once', id });
  expect(await leases('h1')).toEqual([]);
});

test('what was leased for a start that nobody lived to give is let go when another needs it', async () => {
  rawImage(file('orphan.img'), 'orphan');
  const { uuid } = await stack.define(bus, { host: 'h1', name: 'orphan', devices: disk(file('orphan.img'), 'raw') });
  const look = await callDriver(service, { host: 'h1', driver: 'qemu' }, driverStorage, {}, { domain: uuid });
  const { epoch, revision, uses } = look;
  const request = { driver: 'qemu', name: 'orphan', epoch, revision, uses, claim: 'lost' };
  const at = { host: 'h1', driver: 'storage' };
  await callDriver(service, at, storagePrepare, { ...request, disks: look.definition }, { domain: uuid });
  // A crash of the storage service between its answer and the start changes nothing of it.
  await stack.restartStorage('h1');
  expect(await leases('h1')).toEqual(['orphan vda exclusive orphan.img']);
  await stack.run(bus, { host: 'h1', name: 'heir', devices: disk(file('orphan.img'), 'raw') });
  expect(await leases('h1')).toEqual(['heir vda exclusive orphan.img']);
  await stop('heir');
});

test('what was leased for a commit that nobody lived to begin is in the way of nobody who shares its base', async () => {
  rawImage(file('golden.img'), 'golden');
  for (const name of ['one', 'two']) overlay(file(`${name}.qcow2`), 'golden.img', 'raw');
  const { uuid } = await stack.run(bus, { host: 'h1', name: 'one', devices: disk(file('one.qcow2'), 'qcow2') });
  const look = await callDriver(service, { host: 'h1', driver: 'qemu' }, driverStorage, {}, { domain: uuid });
  const { epoch, revision, uses } = look;
  const base = { name: 'base:vda', target: 'vda', use: 'write' as const, disk: disk(file('golden.img'), 'raw') };
  const request = { driver: 'qemu', name: 'one', epoch, revision, uses, claim: 'lost', disks: [], needs: [base] };
  await callDriver(service, { host: 'h1', driver: 'storage' }, storagePrepare, request, { domain: uuid });
  expect(await leases('h1')).toContain('one base:vda exclusive golden.img');
  await stack.run(bus, { host: 'h1', name: 'two', devices: disk(file('two.qcow2'), 'qcow2') });
  expect(await leases('h1')).toEqual(
    ['one', 'two'].flatMap((name) => [`${name} vda exclusive ${name}.qcow2`, `${name} vda shared golden.img`]).sort(),
  );
  for (const name of ['one', 'two']) await stop(name);
});

test('a guest keeps its images through the crash of its driver, of storage and of both', async () => {
  rawImage(file('kept.img'), 'kept');
  await stack.run(bus, { host: 'h1', name: 'keeper', devices: disk(file('kept.img'), 'raw') });
  await stack.define(bus, { host: 'h1', name: 'thief', devices: disk(file('kept.img'), 'raw') });
  const refused = inUse(file('kept.img'), "domain 'keeper' on host 'h1'");
  await stack.restartStorage('h1');
  await expect(start('thief')).rejects.toMatchObject(refused);
  await stack.restartDriver('h1', () => stack.restartStorage('h1'));
  await expect(start('thief')).rejects.toMatchObject(refused);
  await stack.storages.get('h1')!.stop('SIGKILL');
  await expect(start('thief')).rejects.toMatchObject({
    code: 'HOST_OFFLINE',
    message: "host offline: nobody answers for storage on host 'h1'; start it there and try again",
  });
  await stack.startStorage('h1');
  await stop('keeper');
  await start('thief');
  await stop('thief');
});

test('a storage service that is killed during repairs leaves each image as it was or repaired', async () => {
  rawImage(file('many-base.img'), 'base');
  const images = Array.from({ length: 12 }, (_, n) => file(`many-${n}.qcow2`));
  for (const path of images) {
    overlay(path, 'many-base.img', 'raw');
    forgetBackingFormat(path);
  }
  const repair = (path: string, timeoutMs?: number) =>
    call(bus, repairChain, { overlay: path, format: 'raw' }, { target: 'h1', ...(timeoutMs && { timeoutMs }) });
  const repairs = images.map((path) => repair(path, 10_000));
  const ended = Promise.allSettled(repairs);
  await Promise.any(repairs);
  await stack.storages.get('h1')!.stop('SIGKILL');
  await ended;
  await stack.startStorage('h1');
  for (const path of images) {
    // As it was, or as asked: it can be read, and a repair then makes it right.
    await repair(path);
    expect(qemuImg('info', '--output=json', path)).toContain('"backing-filename-format": "raw"');
    qemuImg('check', '-q', path);
  }
  expect((await call(bus, usersOfImage, { image: file('many-base.img') }, { target: 'h1' })).users).toEqual([]);
});

test('an operator sees who holds what, and lets go of what nobody uses, but of nothing else', async () => {
  rawImage(file('seen.img'), 'seen');
  const { uuid } = await stack.run(bus, { host: 'h1', name: 'seen', devices: disk(file('seen.img'), 'raw') });
  const told = async (domain: string): Promise<object[]> => (await call(bus, listLeases, { domain })).leases;
  const held = { path: file('seen.img'), mode: 'exclusive', domain: uuid, host: 'h1', book: true, fleet: true };
  expect(await told('seen')).toEqual([expect.objectContaining(held)]);
  const drop = async (hostIsGone = false) => (await call(bus, dropLeases, { hostIsGone }, { target: 'seen' })).dropped;
  await expect(drop()).rejects.toMatchObject(inUse(file('seen.img'), "domain 'seen' on host 'h1'"));
  await stop('seen');
  await eventually(() => told('seen'), []);

  // Taken for a command that never came.
  const { epoch, revision, uses, definition } = await callDriver(
    service,
    { host: 'h1', driver: 'qemu' },
    driverStorage,
    {},
    { domain: uuid },
  );
  const taking = { driver: 'qemu', name: 'seen', epoch, revision, uses, claim: 'never', disks: definition };
  await callDriver(service, { host: 'h1', driver: 'storage' }, storagePrepare, taking, { domain: uuid });
  await stack.restartDriver('h1', async () => {
    await expect(drop()).rejects.toMatchObject({ code: 'HOST_OFFLINE' });
  });
  expect(await drop()).toEqual([expect.objectContaining({ ...held, fleet: false })]);
  expect(await told('seen')).toEqual([]);
  await eventually(() => leases('h1'), []);
  await expect(told('nobody')).rejects.toMatchObject({ code: 'DOMAIN_NOT_FOUND' });
  await expect(call(bus, listLeases, { host: 'nowhere' })).rejects.toMatchObject({ code: 'HOST_NOT_FOUND' });
});

test('what was defined, or has left, while no domain service was there is known to storage once one is', async () => {
  const image = file('meanwhile.img');
  rawImage(image, 'meanwhile');
  const users = async (): Promise<string[]> =>
    (await call(bus, usersOfImage, { image }, { target: 'h1' })).users.map(({ name }) => name);
  const xml = (await stack.domainXml({ name: 'meanwhile', devices: disk(image, 'raw') })).replace(
    '</name>',
    '</name><uuid>0f5e5b2c-6f4e-4c0e-9a51-1d2c3b4a5968</uuid>',
  );
  const at = { host: 'h1', driver: 'qemu' };
  const context = { domain: '0f5e5b2c-6f4e-4c0e-9a51-1d2c3b4a5968' };
  await stack.restartDomainService(0, async () => {
    await callDriver(service, at, driverDefine, { xml, epoch: 1 }, context);
    expect(await users()).toEqual([]);
  });
  await eventually(users, ['meanwhile']);
  await stack.restartDomainService(0, async () => {
    await callDriver(service, at, undefineDomain, {}, context);
    expect(await users()).toEqual(['meanwhile']);
  });
  await eventually(users, []);
});
