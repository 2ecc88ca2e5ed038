/** Internal snapshots are told apart by their names alone: what QEMU would take for another one is not gone back to. */
import { execFileSync } from 'node:child_process';
import {
  createSnapshot,
  deleteSnapshot,
  destroyDomain,
  getSnapshotXmlWithSecrets,
  listSnapshots,
  revertSnapshot,
  type RequestInput,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { Stack } from '@virtbus/testkit';
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

const fill = (path: string, byte: number): void =>
  void execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P ${byte} 0 64k`, path]);

const holds = (path: string, byte: number): boolean =>
  !execFileSync('qemu-io', ['-r', '-U', '-f', 'qcow2', '-c', `read -P ${byte} 0 64k`, path], {
    encoding: 'utf8',
  }).includes('verification failed');

const take = (domain: string, name: string, how: RequestInput<typeof createSnapshot> = {}) =>
  call(
    bus,
    createSnapshot,
    { xml: `<domainsnapshot><name>${name}</name></domainsnapshot>`, ...how },
    { target: domain },
  );

const back = (domain: string, name: string) => call(bus, revertSnapshot, { name }, { target: domain });

const names = async (domain: string): Promise<string[]> =>
  (await call(bus, listSnapshots, {}, { target: domain })).snapshots.map(({ name }) => name);

/** Number and name of what an image holds. */
const within = (path: string): string[] =>
  (
    JSON.parse(qemuImg('info', '-U', '--output=json', path)) as { snapshots?: { id: string; name: string }[] }
  ).snapshots?.map(({ id, name }) => `${id} ${name}`) ?? [];

const words = (text: string): string => expect.stringContaining(text) as string;

test('a domain that is off goes back to the snapshot of that name, though another one has it for its number', async () => {
  const path = image('numbers');
  const { uuid } = await stack.define(bus, { name: 'numbers', devices: disk(path, 'qcow2') });
  for (const [n, name] of ['2', '1'].entries()) {
    fill(path, n + 1);
    await take(uuid, name);
  }
  expect(within(path)).toEqual(['1 2', '2 1']);
  for (const [n, name] of ['2', '1'].entries()) {
    await back(uuid, name);
    expect([name, holds(path, n + 1)]).toEqual([name, true]);
  }
  await call(bus, deleteSnapshot, { name: '1' }, { target: uuid });
  expect(within(path)).toEqual(['1 2']);
});

test('a guest is not given up for memory that QEMU would look for under a number', async () => {
  const path = image('loaded');
  const { uuid } = await stack.run(bus, { name: 'loaded', devices: disk(path, 'qcow2') });
  await expect(take(uuid, '2')).rejects.toMatchObject({
    code: 'OPERATION_UNSUPPORTED',
    message: words('QEMU would take that for the number of a snapshot'),
  });
  await take(uuid, '20261123');
  await take(uuid, 'kept');
  await back(uuid, '20261123');
  // As those of before have been taken.
  const { xml } = await call(bus, getSnapshotXmlWithSecrets, { name: 'kept' }, { target: uuid });
  await call(bus, deleteSnapshot, { name: 'kept', metadata: true }, { target: uuid });
  const renamed = xml.replace('<name>kept</name>', '<name>1</name>');
  await call(bus, createSnapshot, { xml: renamed, redefine: true }, { target: uuid });
  const pid = stack.pidOf(uuid);
  await expect(back(uuid, '1')).rejects.toMatchObject({ message: words("holds no snapshot '1'") });
  expect([await stack.state(bus, uuid), stack.pidOf(uuid)]).toEqual(['running(from-snapshot)', pid]);
  await call(bus, destroyDomain, {}, { target: uuid });
  qemuImg('snapshot', '-c', '1', path);
  expect(within(path)).toEqual(['1 20261123', '2 kept', '3 1']);
  await expect(back(uuid, '1')).rejects.toMatchObject({
    code: 'OPERATION_UNSUPPORTED',
    message: words("QEMU would take the name for the number of snapshot '20261123'; delete that first"),
  });
});

test('no snapshot is taken of a name that an image holds already, and that one is left as it is', async () => {
  const [a, b] = [image('held-a'), image('held-b')];
  const devices = disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb');
  const { uuid } = await stack.define(bus, { name: 'held', devices });
  fill(b, 1);
  qemuImg('snapshot', '-c', 'mine', b);
  const refused = {
    code: 'OPERATION_FAILED',
    message: words("the image of disk 'vdb' holds an internal snapshot 'mine' already"),
  };
  await expect(take(uuid, 'mine')).rejects.toMatchObject(refused);
  expect([within(a), within(b), await names(uuid)]).toEqual([[], ['1 mine'], []]);

  const c = image('held-c');
  qemuImg('snapshot', '-c', 'mine', c);
  const running = await stack.run(bus, { name: 'held-runs', devices: disk(c, 'qcow2') });
  await expect(take(running.uuid, 'mine')).rejects.toMatchObject({
    code: 'OPERATION_FAILED',
    message: words("the image of disk 'vda' holds an internal snapshot 'mine' already"),
  });
  await call(bus, destroyDomain, {}, { target: running.uuid });
  expect([within(c), await names(running.uuid)]).toEqual([['1 mine'], []]);
});
