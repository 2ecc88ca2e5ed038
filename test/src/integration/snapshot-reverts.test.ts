/** What a domain that goes back to a snapshot stands on is there afterwards, whatever becomes of its guest, and so are all states. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import {
  createSnapshot,
  deleteSnapshot,
  destroyDomain,
  getDomainXml,
  getSnapshotXmlWithSecrets,
  revertSnapshot,
  startDomain,
  storageLeases,
  verifyFleet,
  type RequestInput,
} from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { disk, qemuImg } from './storage-stand';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

function image(name: string): string {
  const path = stack.folder.file(`${name}.qcow2`);
  qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  return path;
}

const overlayOf = (path: string, snapshot: string): string => path.replace('.qcow2', `.${snapshot}`);

/** Fill the beginning of an image that nobody has open. */
const fill = (path: string, byte: number): void =>
  void execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P ${byte} 0 64k`, path]);

/** Whether an image begins with these bytes, read through all that it stands on. */
const holds = (path: string, byte: number): boolean =>
  !execFileSync('qemu-io', ['-r', '-U', '-f', 'qcow2', '-c', `read -P ${byte} 0 64k`, path], {
    encoding: 'utf8',
  }).includes('verification failed');

const create = (domain: string, xml: string, how: RequestInput<typeof createSnapshot> = {}) =>
  call(bus, createSnapshot, { xml, ...how }, { target: domain });

const take = (domain: string, name: string, how: RequestInput<typeof createSnapshot> = {}) =>
  create(domain, `<domainsnapshot><name>${name}</name></domainsnapshot>`, how);

const back = (domain: string, name: string, how: object = {}) =>
  call(bus, revertSnapshot, { name, ...how }, { target: domain });

const sourceOf = async (domain: string): Promise<string> => {
  const { xml = '' } = await call(bus, getDomainXml, { inactive: true }, { target: domain });
  return /<source file='([^']*)'/.exec(xml)?.[1] ?? '';
};

/** Images that storage holds for the domain. */
async function leases(domain: string): Promise<string[]> {
  const service = await stack.connect('service');
  const { holders } = await callDriver(service, { host: 'h1', driver: 'storage' }, storageLeases, { domain });
  return holders.flatMap((holder) => holder.leases.map(({ target, path }) => `${target} ${path}`));
}

test('a domain that has gone back, and whose guest is refused then, keeps the overlay that it stands on', async () => {
  const path = image('refused');
  const { uuid } = await stack.define(bus, { name: 'refused', devices: disk(path, 'qcow2') });
  fill(path, 1);
  await take(uuid, 'one', { diskOnly: true });
  const { xml } = await call(bus, getSnapshotXmlWithSecrets, { name: 'one' }, { target: uuid });
  const nowhere = xml.replace(/<emulator>[^<]*</, '<emulator>/nowhere<');
  expect(nowhere).not.toBe(xml);
  await create(uuid, nowhere, { redefine: true });
  for (let round = 0; round < 5; round++) {
    await expect(back(uuid, 'one', { running: true })).rejects.toMatchObject({ code: 'CONFIG_UNSUPPORTED' });
    const now = await sourceOf(uuid);
    expect(now).toMatch(/refused\.vda\.\d+$/);
    expect([now, existsSync(now)]).toEqual([now, true]);
    expect(holds(now, 1)).toBe(true);
  }
  // None of those before is left.
  const left = readdirSync(stack.folder.path).filter((name) => /^refused\.vda\./.test(name));
  expect(left).toEqual([(await sourceOf(uuid)).split('/').at(-1)]);
  await create(uuid, xml, { redefine: true });
  await back(uuid, 'one', { running: true });
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('an overlay that a state stands on stays, though the snapshot between is forgotten and no document tells', async () => {
  const path = image('deep');
  const { uuid } = await stack.define(bus, { name: 'deep', devices: disk(path, 'qcow2') });
  fill(path, 1);
  await take(uuid, 'one', { diskOnly: true });
  const overlay = overlayOf(path, 'one');
  fill(overlay, 2);
  await take(uuid, 'two', { diskOnly: true });
  // The definition names its new overlay alone.
  await back(uuid, 'two');
  await take(uuid, 'three', { diskOnly: true });
  const present = await sourceOf(uuid);
  await call(bus, deleteSnapshot, { name: 'two', metadata: true }, { target: uuid });
  await back(uuid, 'one');
  expect(holds(await sourceOf(uuid), 1)).toBe(true);
  expect([existsSync(overlay), existsSync(present)]).toEqual([true, false]);
  await back(uuid, 'three');
  expect(holds(await sourceOf(uuid), 2)).toBe(true);
  await call(bus, startDomain, {}, { target: uuid });
  await call(bus, destroyDomain, {}, { target: uuid });
  await eventually(() => leases(uuid), []);
  await eventually(async () => (await call(bus, verifyFleet, {})).disagreements, []);
});

test('nothing that was given up is removed while a state cannot be looked into', async () => {
  const path = image('unseen');
  const { uuid } = await stack.define(bus, { name: 'unseen', devices: disk(path, 'qcow2') });
  await take(uuid, 'one', { diskOnly: true });
  await take(uuid, 'two', { diskOnly: true });
  await back(uuid, 'one');
  const [first] = [await sourceOf(uuid)];
  await take(uuid, 'three', { diskOnly: true });
  await back(uuid, 'two');
  const second = await sourceOf(uuid);
  // The state of 'three' is away for a while.
  execFileSync('mv', [first, `${first}.away`]);
  await back(uuid, 'two');
  expect(existsSync(second)).toBe(true);
  execFileSync('mv', [`${first}.away`, first]);
  const third = await sourceOf(uuid);
  await back(uuid, 'two');
  await eventually(() => existsSync(third), false);
});
