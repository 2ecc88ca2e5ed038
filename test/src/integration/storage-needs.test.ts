/** What a block operation needs of storage: files that are made and taken away again, images that nobody else may stand on. */
import { existsSync, statSync, writeFileSync } from 'node:fs';
import {
  createPool,
  createSnapshot,
  destroyDomain,
  driverStorage,
  driverSubject,
  listVolumes,
  setAutostart,
  startDomain,
  storageEventFilter,
  storageLeases,
  storagePrepare,
  storageRelease,
  type ImageNeed,
  type StorageEvent,
} from '@virtbus/shared';
import { call, callDriver, lastSequence, tailStorage, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { disk, forgetBackingFormat, overlay, rawImage } from './storage-stand';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
let service: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
  service = await stack.connect('service');
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const file = (name: string): string => stack.folder.file(name);
const stop = (domain: string): Promise<unknown> => call(bus, destroyDomain, {}, { target: domain });
const need = (name: string, use: ImageNeed['use'], xml: string): ImageNeed => ({ name, target: 'vda', use, disk: xml });
const creates = (path: string): ImageNeed => need('overlay:vda', 'create', disk(path, 'qcow2'));
const storage = { host: 'h1', driver: 'storage' };

/** As the domain service does it before a command. */
async function prepare(uuid: string, name: string, claim: string, needs: ImageNeed[]) {
  const { epoch, revision, uses } = await callDriver(
    service,
    { host: 'h1', driver: 'qemu' },
    driverStorage,
    {},
    { domain: uuid },
  );
  const request = { driver: 'qemu', name, epoch, revision, uses, claim, disks: [], needs };
  return callDriver(service, storage, storagePrepare, request, { domain: uuid });
}

const release = (uuid: string, claim: string, undone: boolean): Promise<unknown> =>
  callDriver(service, storage, storageRelease, { claims: [claim], undone }, { domain: uuid });

/** Disk or need, mode, image, of one domain. */
async function leases(uuid: string): Promise<string[]> {
  const { holders } = await callDriver(service, storage, storageLeases, { domain: uuid });
  const told = holders.flatMap(({ leases: held }) =>
    held.map(({ target, mode, path }) => `${target} ${mode} ${path.split('/').at(-1)}`),
  );
  return told.sort();
}

/** A domain that is off: it holds nothing of its own. */
async function idle(name: string): Promise<string> {
  const path = rawImage(file(`${name}.img`), name);
  return (await stack.define(bus, { name, devices: disk(path, 'raw') })).uuid;
}

/** Its driver has something to say at a later revision. */
const revisionRises = (uuid: string): Promise<unknown> =>
  call(bus, setAutostart, { enabled: true }, { target: uuid }).then(() =>
    call(bus, setAutostart, { enabled: false }, { target: uuid }),
  );

test('an image is made empty, for its owner alone, leased; and goes when the command has come to nothing', async () => {
  const uuid = await idle('makes');
  const path = file('made.qcow2');
  const { images, conflicts } = await prepare(uuid, 'makes', 'c1', [creates(path)]);
  expect(conflicts).toEqual([]);
  expect(images).toMatchObject([
    {
      name: 'overlay:vda',
      target: 'vda',
      chain: { layers: [{ format: 'qcow2', formatKnown: 'created', physical: 0 }] },
    },
  ]);
  expect(statSync(path)).toMatchObject({ size: 0, mode: 0o100600 });
  expect(await leases(uuid)).toEqual(['overlay:vda exclusive made.qcow2']);

  // A crash in between changes nothing of it; to be asked again neither.
  await stack.restartStorage('h1');
  expect(existsSync(path)).toBe(true);
  await prepare(uuid, 'makes', 'c1', [creates(path)]);
  expect(await leases(uuid)).toEqual(['overlay:vda exclusive made.qcow2']);

  await release(uuid, 'c1', true);
  expect(existsSync(path)).toBe(false);
  expect(await leases(uuid)).toEqual([]);
});

test('what is there already is not touched, and what was made beside it goes again', async () => {
  const uuid = await idle('refused');
  writeFileSync(file('there.qcow2'), 'mine');
  const needs = [
    creates(file('beside.qcow2')),
    { ...creates(file('there.qcow2')), name: 'overlay:vdb', target: 'vdb' },
  ];
  await expect(prepare(uuid, 'refused', 'c1', needs)).rejects.toMatchObject({
    code: 'CONFIG_UNSUPPORTED',
    message: `unsupported configuration: external destination file for disk vdb already exists and is not a block device: ${file('there.qcow2')}; choose another name, remove the file, or ask to reuse it`,
  });
  expect(statSync(file('there.qcow2')).size).toBe(4);
  expect(existsSync(file('beside.qcow2'))).toBe(false);
  await expect(prepare(uuid, 'refused', 'c2', [creates(file('nowhere/x.qcow2'))])).rejects.toMatchObject({
    code: 'SYSTEM_ERROR',
    message: expect.stringContaining(`there is no folder ${file('nowhere')}`) as string,
  });
  expect(await leases(uuid)).toEqual([]);
});

test('what was made for a command that nobody lived to give goes when the driver tells, unless it holds something', async () => {
  const uuid = await idle('orphan');
  const needs = [creates(file('empty.qcow2')), { ...creates(file('filled.qcow2')), name: 'target:vda' }];
  await prepare(uuid, 'orphan', 'lost', needs);
  writeFileSync(file('filled.qcow2'), 'a backup that was finished');
  await stack.storages.get('h1')!.stop('SIGKILL');
  await revisionRises(uuid);
  await stack.startStorage('h1');
  // Storage was away when the driver told; it is told again.
  await eventually(() => leases(uuid), [], { timeoutMs: 40_000 });
  await eventually(() => existsSync(file('empty.qcow2')), false);
  expect(existsSync(file('filled.qcow2'))).toBe(true);
});

test('nobody writes into an image that others stand on', async () => {
  rawImage(file('base.img'), 'base');
  for (const name of ['left', 'right']) overlay(file(`${name}.qcow2`), 'base.img', 'raw');
  const { uuid } = await stack.run(bus, { name: 'left', devices: disk(file('left.qcow2'), 'qcow2') });
  const base = need('base:vda', 'write', disk(file('base.img'), 'raw', '<backingStore/>'));
  expect((await prepare(uuid, 'left', 'alone', [base])).conflicts).toEqual([]);
  expect(await leases(uuid)).toEqual([
    'base:vda exclusive base.img',
    'vda exclusive left.qcow2',
    'vda shared base.img',
  ]);
  await release(uuid, 'alone', true);

  await stack.define(bus, { name: 'right', devices: disk(file('right.qcow2'), 'qcow2') });
  await eventually(
    () =>
      prepare(uuid, 'left', 'two', [base]).then(
        () => release(uuid, 'two', true),
        (error: Error) => error.message,
      ),
    `Requested operation is not valid: ${file('base.img')} is in use: domain 'right'`,
  );
  expect(await leases(uuid)).toEqual(['vda exclusive left.qcow2', 'vda shared base.img']);
  await stop('left');
});

test('a header that says otherwise than the document of a running guest is told once, by name', async () => {
  const since = { sequence: (await lastSequence(bus)) + 1 };
  const told: StorageEvent[] = [];
  const listening = new AbortController();
  const filter = storageEventFilter({ entity: 'chain' });
  const ended = (async () => {
    for await (const { event } of tailStorage(bus, { since, filter, signal: listening.signal })) told.push(event);
  })().catch(() => undefined);
  rawImage(file('odd-base.img'), 'base');
  overlay(file('odd.qcow2'), 'odd-base.img', 'raw');
  const { uuid } = await stack.run(bus, { name: 'odd', devices: disk(file('odd.qcow2'), 'qcow2') });
  await revisionRises(uuid);
  forgetBackingFormat(file('odd.qcow2'));
  await revisionRises(uuid);
  await eventually(() => told.length, 1);
  expect(told).toMatchObject([
    {
      entity: 'chain',
      type: 'mismatch',
      name: file('odd.qcow2'),
      data: { domain: uuid, name: 'odd', target: 'vda', layer: 0, path: file('odd.qcow2') },
    },
  ]);
  expect(told[0]!.data!.what).toBe(
    "the header records no format of 'odd-base.img', on which it stands; the document says that it is raw",
  );
  // Known by now: neither the next look at it nor a restart tells it again.
  await stack.restartStorage('h1');
  await revisionRises(uuid);
  expect(await leases(uuid)).toEqual(['vda exclusive odd.qcow2', 'vda shared odd-base.img']);
  await stop('odd');
  // What was asked of the storage service when it was killed is asked again later.
  await eventually(() => leases(uuid), [], { timeoutMs: 40_000 });
  expect(told).toHaveLength(1);
  listening.abort();
  await ended;
});

test('a command that storage dies over while it prepares is prepared by the next process, and done', async () => {
  const uuid = await idle('patient');
  const host = await stack.connect('host-h1');
  let heard = 0;
  host.nc.subscribe(driverSubject('h1', 'storage', storagePrepare.operation), { callback: () => heard++ });
  await host.nc.flush();
  const thoughStorageDies = async <T>(work: () => Promise<T>): Promise<T> => {
    const before = heard;
    stack.storages.get('h1')!.kill('SIGSTOP');
    const done = work();
    done.catch(() => undefined);
    await eventually(() => heard > before, true);
    await stack.restartStorage('h1');
    return done;
  };
  await thoughStorageDies(() => call(bus, startDomain, {}, { target: uuid }));
  expect(await leases(uuid)).toEqual(['vda exclusive patient.img']);
  const path = file('patient.qcow2');
  const xml = `<domainsnapshot><name>s1</name><disks><disk name='vda' snapshot='external'><source file='${path}'/></disk></disks></domainsnapshot>`;
  await thoughStorageDies(() => call(bus, createSnapshot, { xml, diskOnly: true }, { target: uuid }));
  await eventually(() => leases(uuid), ['vda exclusive patient.qcow2', 'vda shared patient.img']);
  await stop('patient');
});

test('an image that is made for a disk that comes is a volume of its pool, of its format, and goes with it', async () => {
  const folder = file('pool');
  const xml = `<pool type='dir'><name>images</name><target><path>${folder}</path></target></pool>`;
  await call(bus, createPool, { xml, build: 'new' }, { target: 'h1' });
  const volumes = async (): Promise<string[]> =>
    (await call(bus, listVolumes, { pool: 'images' }, { target: 'h1' })).volumes.map(
      ({ name, format }) => `${name} ${format}`,
    );
  const path = `${folder}/comes.qcow2`;
  const domain = '4a3d2c1b-0000-4000-8000-000000000001';
  const about = { driver: 'qemu', name: 'comes', epoch: 1, revision: 0, uses: [] };
  const ask = (claim: string, more: object) =>
    callDriver(service, storage, storagePrepare, { ...about, claim, disks: [], needs: [], ...more }, { domain });
  await ask('m1', { disks: [disk(path, 'qcow2')], copies: [{ disk: disk(path, 'qcow2'), capacity: 4 * 1024 * 1024 }] });
  expect(await volumes()).toEqual(['comes.qcow2 qcow2']);
  // A disk that leaves the format to the pool is not taken for raw.
  const named = `<disk type='volume' device='disk'><source pool='images' volume='comes.qcow2'/><target dev='vda' bus='virtio'/></disk>`;
  const { disks } = await ask('m2', { disks: [named] });
  expect(disks[0]?.chain?.layers[0]?.format).toBe('qcow2');
  for (const claim of ['m2', 'm1']) await release(domain, claim, true);
  await eventually(volumes, []);
  expect(existsSync(path)).toBe(false);
});
