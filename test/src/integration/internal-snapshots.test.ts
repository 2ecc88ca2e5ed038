/** Internal snapshots are told apart by their names alone: what QEMU would take for another one is not gone back to. */
import { destroyDomain, getSnapshotXmlWithSecrets } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import type { Stack } from '@virtbus/testkit';
import { fill, holds, SnapshotStand, snapshotsIn } from './snapshot-stand';
import { disk, qemuImg } from './storage-stand';

jest.setTimeout(240_000);

let stand: SnapshotStand;
let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stand = await SnapshotStand.start();
  ({ stack, bus } = stand);
});
afterAll(() => stand?.[Symbol.asyncDispose]());

/** Number and name of what an image holds. */
const within = (path: string): string[] => snapshotsIn(path).map(({ id, name }) => `${id} ${name}`);

const words = (text: string): string => expect.stringContaining(text) as string;

test('a domain that is off goes back to the snapshot of that name, though another one has it for its number', async () => {
  const path = stand.image('numbers');
  const { uuid } = await stack.define(bus, { name: 'numbers', devices: disk(path, 'qcow2') });
  for (const [n, name] of ['2', '1'].entries()) {
    fill(path, n + 1);
    await stand.take(uuid, name);
  }
  expect(within(path)).toEqual(['1 2', '2 1']);
  for (const [n, name] of ['2', '1'].entries()) {
    await stand.back(uuid, name);
    expect([name, holds(path, n + 1)]).toEqual([name, true]);
  }
  await stand.remove(uuid, '1');
  expect(within(path)).toEqual(['1 2']);
});

test('a guest is not given up for memory that QEMU would look for under a number', async () => {
  const path = stand.image('loaded');
  const { uuid } = await stack.run(bus, { name: 'loaded', devices: disk(path, 'qcow2') });
  await expect(stand.take(uuid, '2')).rejects.toMatchObject({
    code: 'OPERATION_UNSUPPORTED',
    message: words('QEMU would take that for the number of a snapshot'),
  });
  await stand.take(uuid, '20261123');
  await stand.take(uuid, 'kept');
  await stand.back(uuid, '20261123');
  // As those of before have been taken.
  const { xml } = await call(bus, getSnapshotXmlWithSecrets, { name: 'kept' }, { target: uuid });
  await stand.remove(uuid, 'kept', { metadata: true });
  const renamed = xml.replace('<name>kept</name>', '<name>1</name>');
  await stand.create(uuid, renamed, { redefine: true });
  const pid = stack.pidOf(uuid);
  await expect(stand.back(uuid, '1')).rejects.toMatchObject({ message: words("holds no snapshot '1'") });
  expect([await stack.state(bus, uuid), stack.pidOf(uuid)]).toEqual(['running(from-snapshot)', pid]);
  await call(bus, destroyDomain, {}, { target: uuid });
  qemuImg('snapshot', '-c', '1', path);
  expect(within(path)).toEqual(['1 20261123', '2 kept', '3 1']);
  await expect(stand.back(uuid, '1')).rejects.toMatchObject({
    code: 'OPERATION_UNSUPPORTED',
    message: words("QEMU would take the name for the number of snapshot '20261123'; delete that first"),
  });
});

test('no snapshot is taken of a name that an image holds already, and that one is left as it is', async () => {
  const [a, b] = [stand.image('held-a'), stand.image('held-b')];
  const devices = disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb');
  const { uuid } = await stack.define(bus, { name: 'held', devices });
  fill(b, 1);
  qemuImg('snapshot', '-c', 'mine', b);
  const refused = {
    code: 'OPERATION_FAILED',
    message: words("the image of disk 'vdb' holds an internal snapshot 'mine' already"),
  };
  await expect(stand.take(uuid, 'mine')).rejects.toMatchObject(refused);
  expect([within(a), within(b), await stand.names(uuid)]).toEqual([[], ['1 mine'], []]);

  const c = stand.image('held-c');
  qemuImg('snapshot', '-c', 'mine', c);
  const running = await stack.run(bus, { name: 'held-runs', devices: disk(c, 'qcow2') });
  await expect(stand.take(running.uuid, 'mine')).rejects.toMatchObject({
    code: 'OPERATION_FAILED',
    message: words("the image of disk 'vda' holds an internal snapshot 'mine' already"),
  });
  await call(bus, destroyDomain, {}, { target: running.uuid });
  expect([within(c), await stand.names(running.uuid)]).toEqual([['1 mine'], []]);
});
