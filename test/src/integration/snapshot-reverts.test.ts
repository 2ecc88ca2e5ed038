/** What a domain that goes back to a snapshot stands on is there afterwards, whatever becomes of its guest, and so are all states. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { destroyDomain, getSnapshotXmlWithSecrets, startDomain, storageLeases, verifyFleet } from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import { eventually, type Stack } from '@virtbus/testkit';
import { fill, holds, overlayOf, SnapshotStand } from './snapshot-stand';
import { disk } from './storage-stand';

jest.setTimeout(240_000);

let stand: SnapshotStand;
let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stand = await SnapshotStand.start();
  ({ stack, bus } = stand);
});
afterAll(() => stand?.[Symbol.asyncDispose]());

/** Images that storage holds for the domain. */
async function leases(domain: string): Promise<string[]> {
  const service = await stack.connect('service');
  const { holders } = await callDriver(service, { host: 'h1', driver: 'storage' }, storageLeases, { domain });
  return holders.flatMap((holder) => holder.leases.map(({ target, path }) => `${target} ${path}`));
}

const words = (text: string): string => expect.stringContaining(text) as string;

test('a domain that has gone back, and whose guest is refused then, keeps the overlay that it stands on', async () => {
  const path = stand.image('refused');
  const { uuid } = await stack.define(bus, { name: 'refused', devices: disk(path, 'qcow2') });
  fill(path, 1);
  await stand.take(uuid, 'one', { diskOnly: true });
  const { xml } = await call(bus, getSnapshotXmlWithSecrets, { name: 'one' }, { target: uuid });
  const nowhere = xml.replace(/<emulator>[^<]*</, '<emulator>/nowhere<');
  expect(nowhere).not.toBe(xml);
  await stand.create(uuid, nowhere, { redefine: true });
  for (let round = 0; round < 5; round++) {
    await expect(stand.back(uuid, 'one', { running: true })).rejects.toMatchObject({ code: 'CONFIG_UNSUPPORTED' });
    const now = await stand.sourceOf(uuid);
    expect(now).toMatch(/refused\.vda\.\d+$/);
    expect([now, existsSync(now)]).toEqual([now, true]);
    expect(holds(now, 1)).toBe(true);
  }
  // None of those before is left.
  const left = readdirSync(stack.folder.path).filter((name) => /^refused\.vda\./.test(name));
  expect(left).toEqual([(await stand.sourceOf(uuid)).split('/').at(-1)]);
  await stand.create(uuid, xml, { redefine: true });
  await stand.back(uuid, 'one', { running: true });
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('an overlay that a state stands on stays, though the snapshot between is forgotten and no document tells', async () => {
  const path = stand.image('deep');
  const { uuid } = await stack.define(bus, { name: 'deep', devices: disk(path, 'qcow2') });
  fill(path, 1);
  await stand.take(uuid, 'one', { diskOnly: true });
  const overlay = overlayOf(path, 'one');
  fill(overlay, 2);
  await stand.take(uuid, 'two', { diskOnly: true });
  // The definition names its new overlay alone.
  await stand.back(uuid, 'two');
  await stand.take(uuid, 'three', { diskOnly: true });
  const present = await stand.sourceOf(uuid);
  await stand.remove(uuid, 'two', { metadata: true });
  await stand.back(uuid, 'one');
  expect(holds(await stand.sourceOf(uuid), 1)).toBe(true);
  expect([existsSync(overlay), existsSync(present)]).toEqual([true, false]);
  await stand.back(uuid, 'three');
  expect(holds(await stand.sourceOf(uuid), 2)).toBe(true);
  await call(bus, startDomain, {}, { target: uuid });
  await call(bus, destroyDomain, {}, { target: uuid });
  await eventually(() => leases(uuid), []);
  await eventually(async () => (await call(bus, verifyFleet, {})).disagreements, []);
});

test('nothing that was given up is removed while a state cannot be looked into', async () => {
  const path = stand.image('unseen');
  const { uuid } = await stack.define(bus, { name: 'unseen', devices: disk(path, 'qcow2') });
  await stand.take(uuid, 'one', { diskOnly: true });
  await stand.take(uuid, 'two', { diskOnly: true });
  await stand.back(uuid, 'one');
  const [first] = [await stand.sourceOf(uuid)];
  await stand.take(uuid, 'three', { diskOnly: true });
  await stand.back(uuid, 'two');
  const second = await stand.sourceOf(uuid);
  // The state of 'three' is away for a while.
  execFileSync('mv', [first, `${first}.away`]);
  await stand.back(uuid, 'two');
  expect(existsSync(second)).toBe(true);
  execFileSync('mv', [`${first}.away`, first]);
  const third = await stand.sourceOf(uuid);
  await stand.back(uuid, 'two');
  await eventually(() => [second, third].filter((overlay) => existsSync(overlay)), []);
});

test('nothing is removed or written over while the description of a snapshot cannot be read', async () => {
  const path = stand.image('damaged');
  const { uuid } = await stack.define(bus, { name: 'damaged', devices: disk(path, 'qcow2') });
  await stand.take(uuid, 'one', { diskOnly: true });
  const state = overlayOf(path, 'one');
  fill(state, 2);
  await stand.take(uuid, 'two', { diskOnly: true });
  const file = stack.folder.file('state', 'hosts', 'h1', 'qemu', 'domains', uuid, 'snapshots', 'two.xml');
  const whole = readFileSync(file);
  const damaged = whole.subarray(0, 200);
  await stack.restartDriver('h1', async () => writeFileSync(file, damaged));
  expect(await stand.names(uuid)).toEqual(['one']);
  await stand.back(uuid, 'one');
  expect(existsSync(state)).toBe(true);
  const refused = { code: 'OPERATION_FAILED', message: words(`cannot be read: ${file}; mend`) };
  await expect(stand.take(uuid, 'two', { diskOnly: true })).rejects.toMatchObject(refused);
  await expect(stand.remove(uuid, 'one')).rejects.toMatchObject(refused);
  expect(readFileSync(file)).toEqual(damaged);
  writeFileSync(file, whole);
  await stand.back(uuid, 'two');
  expect(holds(await stand.sourceOf(uuid), 2)).toBe(true);
  expect(await stand.names(uuid)).toEqual(['one', 'two']);
});
