/** Snapshots of real guests: taken, gone back to, deleted; what the guest or the image holds afterwards tells whether they do. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import {
  createDomain,
  createSnapshot,
  deleteSnapshot,
  destroyDomain,
  getDomainXml,
  getSnapshot,
  getSnapshotXmlWithSecrets,
  listSnapshots,
  revertSnapshot,
  startDomain,
  undefineDomain,
  verifyFleet,
  type RequestInput,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { disk, guestSays, nodeNames, overlay, qemuImg } from './storage-stand';
import { execFileSync } from 'node:child_process';

jest.setTimeout(240_000);

const agentChannel = `<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`;

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack[Symbol.asyncDispose]());

function image(name: string): string {
  const path = stack.folder.file(`${name}.qcow2`);
  qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  return path;
}

/** The overlay that a snapshot puts upon an image when nobody names it. */
const overlayOf = (path: string, snapshot: string): string => path.replace('.qcow2', `.${snapshot}`);

/** Fill the beginning of an image that nobody has open. */
const fill = (path: string, byte: number): void =>
  void execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P ${byte} 0 64k`, path]);

/** Whether an image begins with these bytes, read through all that it stands on. */
const holds = (path: string, byte: number): boolean =>
  !execFileSync('qemu-io', ['-r', '-U', '-f', 'qcow2', '-c', `read -P ${byte} 0 64k`, path], {
    encoding: 'utf8',
  }).includes('verification failed');

const take = (domain: string, name: string, how: RequestInput<typeof createSnapshot> = {}, within = '') =>
  call(
    bus,
    createSnapshot,
    { xml: `<domainsnapshot><name>${name}</name>${within}</domainsnapshot>`, ...how },
    { target: domain },
  );

const names = async (domain: string): Promise<string[]> =>
  (await call(bus, listSnapshots, {}, { target: domain })).snapshots.map(({ name }) => name);

const sourceOf = async (domain: string, inactive = false): Promise<string | undefined> => {
  const { xml = '' } = await call(bus, getDomainXml, { inactive }, { target: domain });
  return /<source file='([^']*)'/.exec(xml)?.[1];
};

test('all disks of a running guest get overlays at once, with the format of what they stand on recorded', async () => {
  const [a, b] = [image('a'), image('b')];
  const { uuid } = await stack.run(bus, { name: 'two', devices: disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb') });
  const { snapshot } = await take(uuid, 'first', { diskOnly: true });
  expect(snapshot).toMatchObject({ name: 'first', state: 'disk-snapshot', location: 'external', current: true });
  for (const path of [a, b]) {
    const told = JSON.parse(qemuImg('info', '-U', '--output=json', overlayOf(path, 'first'))) as object;
    expect(told).toMatchObject({ format: 'qcow2', 'full-backing-filename': path, 'backing-filename-format': 'qcow2' });
  }
  expect(await sourceOf(uuid)).toBe(overlayOf(a, 'first'));
  expect(await sourceOf(uuid, true)).toBe(overlayOf(a, 'first'));
  expect((await nodeNames(bus, uuid)).filter((name) => name.endsWith('-format'))).toHaveLength(4);
  expect(await names(uuid)).toEqual(['first']);

  // Deleted, each overlay is merged into what it stands on.
  await take(uuid, 'second', { diskOnly: true });
  await call(bus, deleteSnapshot, { name: 'first' }, { target: uuid });
  expect(existsSync(overlayOf(a, 'first'))).toBe(false);
  expect(JSON.parse(qemuImg('info', '-U', '--output=json', overlayOf(a, 'second')))).toMatchObject({
    'full-backing-filename': a,
    'backing-filename-format': 'qcow2',
  });
  expect((await call(bus, getSnapshot, {}, { target: uuid })).snapshot).toMatchObject({ name: 'second' });
  await call(bus, deleteSnapshot, { name: 'second' }, { target: uuid });
  expect(await sourceOf(uuid)).toBe(a);
  expect(await sourceOf(uuid, true)).toBe(a);
  expect(existsSync(overlayOf(b, 'second'))).toBe(false);
  expect(await names(uuid)).toEqual([]);
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('a guest goes back to the memory and the disk of an internal snapshot', async () => {
  const path = image('memory');
  const { uuid } = await stack.run(bus, { name: 'inside', linux: true, devices: disk(path, 'qcow2') });
  await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
  await guestSays(bus, uuid, 'x=before; echo before > /dev/vda; sync; echo is-$x', 'is-before');
  const { snapshot } = await take(uuid, 'kept');
  expect(snapshot).toMatchObject({ state: 'running', location: 'internal', memory: 'internal' });
  await guestSays(bus, uuid, 'x=after; echo after > /dev/vda; sync; echo is-$x', 'is-after');
  const { domain } = await call(bus, revertSnapshot, { name: 'kept' }, { target: uuid });
  expect(domain).toMatchObject({ state: 'running', reason: 'from-snapshot' });
  await guestSays(bus, uuid, 'echo again-$x', 'again-before');
  await guestSays(bus, uuid, 'echo 3 > /proc/sys/vm/drop_caches; echo disk-$(head -c 6 /dev/vda)', 'disk-before');
  await call(bus, deleteSnapshot, { name: 'kept' }, { target: uuid });
  await call(bus, destroyDomain, {}, { target: uuid });
  expect(JSON.parse(qemuImg('info', '--output=json', path))).not.toHaveProperty('snapshots');
});

test('a guest goes back to the memory and the disk of an external snapshot', async () => {
  const path = image('outside');
  const memory = stack.folder.file('outside.memory');
  const { uuid } = await stack.run(bus, { name: 'outside', linux: true, devices: disk(path, 'qcow2') + agentChannel });
  await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
  await guestSays(bus, uuid, 'x=before; echo before > /dev/vda; sync; echo is-$x', 'is-before');
  const within = `<memory snapshot='external' file='${memory}'/>`;
  const { domain: after, snapshot } = await take(uuid, 'kept', { live: true }, within);
  expect(after).toMatchObject({ state: 'running' });
  expect(snapshot).toMatchObject({ state: 'running', location: 'external', memory: 'external' });
  await guestSays(bus, uuid, 'x=after; echo after > /dev/vda; sync; echo is-$x', 'is-after');
  const { domain } = await call(bus, revertSnapshot, { name: 'kept' }, { target: uuid });
  expect(domain).toMatchObject({ state: 'running', reason: 'from-snapshot' });
  await guestSays(bus, uuid, 'echo again-$x', 'again-before');
  await guestSays(bus, uuid, 'echo 3 > /proc/sys/vm/drop_caches; echo disk-$(head -c 6 /dev/vda)', 'disk-before');
  expect(existsSync(overlayOf(path, 'kept'))).toBe(false);
  // Frozen by its agent and thawed again.
  await eventually(() => take(uuid, 'still', { diskOnly: true, quiesce: true }).then(() => true), true, {
    timeoutMs: 60_000,
    intervalMs: 500,
  });
  await guestSays(bus, uuid, 'echo thawed-$x', 'thawed-before');
  await call(bus, deleteSnapshot, { name: 'kept', children: true }, { target: uuid });
  expect(await sourceOf(uuid)).toBe(path);
  expect(existsSync(memory)).toBe(false);
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('a transient domain goes back and stays one; it is gone when it cannot be started from the snapshot', async () => {
  const [path, memory] = [image('transient'), stack.folder.file('transient.memory')];
  const xml = await stack.domainXml({ name: 'transient', devices: disk(path, 'qcow2') });
  const { uuid } = (await call(bus, createDomain, { xml })).domain;
  const back = (name: string, how: object = {}) => call(bus, revertSnapshot, { name, ...how }, { target: uuid });
  const same = { uuid, persistent: false, state: 'running', reason: 'from-snapshot' };
  await take(uuid, 'inner');
  expect((await back('inner')).domain).toMatchObject(same);
  await take(uuid, 'disks', { diskOnly: true });
  await expect(back('disks')).rejects.toMatchObject({ message: expect.stringContaining('cannot be off') as string });
  expect((await back('disks', { running: true, force: true })).domain).toMatchObject(same);
  expect(await stack.state(bus, 'transient')).toBe('running(from-snapshot)');
  await eventually(async () => (await call(bus, verifyFleet, {})).disagreements, []);
  await take(uuid, 'outer', {}, `<memory snapshot='external' file='${memory}'/>`);
  writeFileSync(memory, readFileSync(memory).fill(0, 64 * 1024));
  await expect(back('outer')).rejects.toMatchObject({ code: 'OPERATION_FAILED' });
  await expect(stack.state(bus, uuid)).rejects.toMatchObject({ code: 'DOMAIN_NOT_FOUND' });
  await eventually(async () => (await call(bus, verifyFleet, {})).disagreements, []);
  const lives = (await stack.events(bus, uuid)).filter(({ class: kind }) => kind === 'lifecycle');
  const turns = ['stopped from-snapshot', 'started from-snapshot'];
  expect(lives.map(({ type, detail }) => `${type} ${detail}`).filter((one) => /^st/.test(one))).toEqual([
    'started booted',
    ...turns,
    ...turns,
    'stopped from-snapshot',
    'stopped failed',
  ]);
});

test('a domain that is off is kept in its images or below overlays, goes back, and loses its snapshots again', async () => {
  const path = image('off');
  const { uuid } = await stack.define(bus, { name: 'off', devices: disk(path, 'qcow2') });
  fill(path, 1);
  await take(uuid, 'inner');
  fill(path, 2);
  await take(uuid, 'outer', { diskOnly: true });
  expect(await sourceOf(uuid)).toBe(overlayOf(path, 'outer'));
  fill(overlayOf(path, 'outer'), 3);
  expect(holds(path, 2)).toBe(true);
  const { domain } = await call(bus, revertSnapshot, { name: 'outer' }, { target: uuid });
  expect(domain).toMatchObject({ state: 'shutoff' });
  const now = (await sourceOf(uuid)) ?? '';
  expect(holds(now, 2)).toBe(true);
  expect(existsSync(overlayOf(path, 'outer'))).toBe(false);
  fill(now, 4);
  await call(bus, deleteSnapshot, { name: 'outer' }, { target: uuid });
  expect(await sourceOf(uuid)).toBe(path);
  expect(existsSync(now)).toBe(false);
  expect(holds(path, 4)).toBe(true);
  await call(bus, revertSnapshot, { name: 'inner' }, { target: uuid });
  expect(holds(path, 1)).toBe(true);
  await call(bus, deleteSnapshot, { name: 'inner' }, { target: uuid });
  expect(await names(uuid)).toEqual([]);
  await call(bus, startDomain, {}, { target: uuid });
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('a middle snapshot of a guest that ran is deleted when it is off, and the domain starts on what is left', async () => {
  const path = image('middle');
  const { uuid } = await stack.run(bus, { name: 'middle', devices: disk(path, 'qcow2') });
  for (const name of ['one', 'two']) await take(uuid, name, { diskOnly: true });
  await call(bus, destroyDomain, {}, { target: uuid });
  await call(bus, deleteSnapshot, { name: 'one' }, { target: uuid });
  expect([existsSync(overlayOf(path, 'one')), await names(uuid)]).toEqual([false, ['two']]);
  await call(bus, startDomain, {}, { target: uuid });
  expect(await sourceOf(uuid)).toBe(overlayOf(path, 'two'));
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('what cannot be kept is refused, and nothing of it is left', async () => {
  const path = image('refused');
  const raw = stack.folder.file('other.raw');
  qemuImg('create', '-q', '-f', 'raw', raw, '1M');
  const { uuid } = await stack.run(bus, {
    name: 'refused',
    devices: disk(path, 'qcow2') + disk(raw, 'raw', '', 'vdb'),
  });
  await expect(take(uuid, 'inner')).rejects.toMatchObject({
    code: 'CONFIG_UNSUPPORTED',
    message: expect.stringContaining('internal snapshot for disk vdb unsupported for storage type raw') as string,
  });
  writeFileSync(overlayOf(path, 'there'), 'somebody else’s');
  await expect(take(uuid, 'there', { diskOnly: true })).rejects.toMatchObject({
    message: expect.stringContaining('exist') as string,
  });
  await expect(take(uuid, 'bad/name', { diskOnly: true })).rejects.toMatchObject({ code: 'XML_DETAIL' });
  await expect(take(uuid, 'frozen', { diskOnly: true, quiesce: true })).rejects.toMatchObject({
    code: 'ARGUMENT_UNSUPPORTED',
  });
  await expect(call(bus, revertSnapshot, { name: 'none' }, { target: uuid })).rejects.toMatchObject({
    code: 'NO_DOMAIN_SNAPSHOT',
  });
  expect(await names(uuid)).toEqual([]);
  expect(await sourceOf(uuid)).toBe(path);
  expect(existsSync(overlayOf(path, 'frozen'))).toBe(false);
  expect(existsSync(raw.replace('.raw', '.frozen'))).toBe(false);
  expect((await nodeNames(bus, uuid)).filter((name) => name.endsWith('-format'))).toHaveLength(2);
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('a description is forgotten and told again; overlays are left without one, or brought along', async () => {
  const path = image('told');
  const { uuid } = await stack.run(bus, { name: 'told', devices: disk(path, 'qcow2') });
  await take(uuid, 'one', { diskOnly: true });
  await take(uuid, 'two', { diskOnly: true });
  const { xml } = await call(bus, getSnapshotXmlWithSecrets, { name: 'one' }, { target: uuid });
  await call(bus, deleteSnapshot, { name: 'one', metadata: true }, { target: uuid });
  expect(await names(uuid)).toEqual(['two']);
  expect(existsSync(overlayOf(path, 'one'))).toBe(true);
  await call(bus, createSnapshot, { xml, redefine: true, current: true }, { target: uuid });
  expect((await call(bus, getSnapshot, {}, { target: uuid })).snapshot.name).toBe('one');
  const cycle = xml.replace('<name>one</name>', '<name>one</name><parent><name>one</name></parent>');
  await expect(call(bus, createSnapshot, { xml: cycle, redefine: true }, { target: uuid })).rejects.toMatchObject({
    message: 'invalid argument: cannot set snapshot one as its own parent',
  });
  const { xml: second } = await call(bus, getSnapshotXmlWithSecrets, { name: 'two' }, { target: uuid });
  await call(bus, createSnapshot, { xml: second, redefine: true, current: true }, { target: uuid });

  await take(uuid, 'bare', { diskOnly: true, noMetadata: true });
  expect(await sourceOf(uuid)).toBe(overlayOf(path, 'bare'));
  expect(await names(uuid)).not.toContain('bare');

  const brought = stack.folder.file('brought.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-u', '-b', overlayOf(path, 'bare'), brought, '16M');
  const disks = `<disks><disk name='vda' snapshot='external'><source file='${brought}'/></disk></disks>`;
  const how = { diskOnly: true, reuseExternal: true, halt: true };
  const { domain } = await take(uuid, 'brought', how, disks);
  expect(domain).toMatchObject({ state: 'shutoff', reason: 'from-snapshot' });
  expect(await sourceOf(uuid)).toBe(brought);
  await call(bus, startDomain, {}, { target: uuid });
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('the snapshot of a domain that is off is not merged into an image that others stand on', async () => {
  const shared = image('shared');
  fill(shared, 7);
  const { uuid } = await stack.define(bus, { name: 'owner', devices: disk(shared, 'qcow2') });
  await take(uuid, 'kept', { diskOnly: true });
  fill(overlayOf(shared, 'kept'), 8);
  const other = overlay(stack.folder.file('other.qcow2'), shared, 'qcow2');
  const { uuid: others } = await stack.define(bus, { name: 'leaner', devices: disk(other, 'qcow2') });
  await expect(call(bus, deleteSnapshot, { name: 'kept' }, { target: uuid })).rejects.toMatchObject({
    code: 'IMAGE_IN_USE',
    message: expect.stringMatching(/shared\.qcow2.*'leaner'/) as string,
  });
  expect(holds(other, 7)).toBe(true);
  expect(await names(uuid)).toEqual(['kept']);
  await call(bus, undefineDomain, {}, { target: others });
  await eventually(() => call(bus, deleteSnapshot, { name: 'kept' }, { target: uuid }).then(() => true), true);
  expect(holds(shared, 8)).toBe(true);
  expect(await sourceOf(uuid)).toBe(shared);
});
