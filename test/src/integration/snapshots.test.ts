/** Snapshots of real guests: taken, gone back to, deleted; what the guest or the image holds afterwards tells whether they do. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import {
  abortBlockJob,
  attachDevice,
  commitBlocks,
  copyBlocks,
  createCheckpoint,
  createDomain,
  createPool,
  createSnapshot,
  deleteCheckpoint,
  deleteSnapshot,
  deleteVolume,
  destroyDomain,
  detachDevice,
  getDomainXml,
  getSnapshot,
  getSnapshotXmlWithSecrets,
  listBlockJobs,
  listSnapshots,
  listVolumes,
  managedSave,
  pullBlocks,
  qmpCommand,
  refreshPool,
  removeManagedSave,
  resizeDisk,
  resumeDomain,
  revertSnapshot,
  saveDomain,
  startDomain,
  suspendDomain,
  undefineDomain,
  verifyFleet,
  type RequestInput,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { fill, holds, overlayOf } from './snapshot-stand';
import { disk, guestSays, nodeNames, overlay, qemuImg } from './storage-stand';

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

const take = (domain: string, name: string, how: RequestInput<typeof createSnapshot> = {}, within = '') =>
  call(
    bus,
    createSnapshot,
    { xml: `<domainsnapshot><name>${name}</name>${within}</domainsnapshot>`, ...how },
    { target: domain },
  );

const codeOf = (error: { code?: string }): unknown => error.code;

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

test.each(['memory', 'deletion', 'save'])('work on a guest that is destroyed meanwhile (%s) says so', async (what) => {
  const path = image(`ended-${what}`);
  const { uuid } = await stack.run(bus, { name: `ended-${what}`, devices: disk(path, 'qcow2') });
  if (what === 'deletion') await take(uuid, 'kept', { diskOnly: true });
  // Whatever it is asked, it does not get to.
  process.kill(stack.pidOf(uuid), 'SIGSTOP');
  const file = stack.folder.file(`ended-${what}.file`);
  const work = {
    memory: () => take(uuid, 'kept', {}, `<memory snapshot='external' file='${file}'/>`),
    deletion: () => call(bus, deleteSnapshot, { name: 'kept' }, { target: uuid }),
    save: () => call(bus, saveDomain, { path: file }, { target: uuid }),
  }[what]!();
  work.catch(() => undefined);
  await eventually(() => call(bus, suspendDomain, {}, { target: uuid, timeoutMs: 300 }).catch(codeOf), 'DOMAIN_BUSY');
  await call(bus, destroyDomain, {}, { target: uuid });
  await expect(work).rejects.toMatchObject({
    code: 'OPERATION_ABORTED',
    message: expect.stringContaining(`domain 'ended-${what}' was ended while`) as string,
  });
  expect([await stack.state(bus, uuid), existsSync(file)]).toEqual(['shutoff(destroyed)', false]);
  await eventually(async () => (await call(bus, verifyFleet, {})).disagreements, []);
});

test('a merge that fails once it is ready, while that of another disk goes on, fails the deletion', async () => {
  const [a, b] = [image('failing'), stack.folder.file('slow.qcow2')];
  qemuImg('create', '-q', '-f', 'qcow2', b, '256M');
  const { uuid } = await stack.run(bus, { name: 'half', devices: disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb') });
  const qmp = async <T>(execute: string, args: Record<string, unknown> = {}): Promise<T> =>
    (await call(bus, qmpCommand, { execute, arguments: args }, { target: uuid })).result as T;
  await take(uuid, 'one', { diskOnly: true });
  const backend = '/machine/peripheral/virtio-disk1/virtio-backend';
  await qmp('human-monitor-command', { 'command-line': `qemu-io -d ${backend} "write -P 5 0 192M"` });
  const deleted = call(bus, deleteSnapshot, { name: 'one' }, { target: uuid });
  deleted.catch(() => undefined);
  const jobOf = async (target: string) =>
    (await qmp<{ device: string; ready?: boolean }[]>('query-block-jobs')).find(({ device }) =>
      device.includes(target),
    );
  const other = await eventually(() => jobOf('vdb'), Boolean, { intervalMs: 1 });
  await qmp('block-job-set-speed', { device: other?.device, speed: 1024 });
  const job = await eventually(
    () => jobOf('vda'),
    (one) => one?.ready === true,
  );
  await qmp('block-job-cancel', { device: job?.device, force: true });
  await eventually(() => jobOf('vda'), undefined);
  await qmp('block-job-set-speed', { device: other?.device, speed: 0 });
  await expect(deleted).rejects.toMatchObject({
    message: expect.stringContaining('merging images canceled') as string,
  });
  expect(await names(uuid)).toEqual(['one']);
  await call(bus, deleteSnapshot, { name: 'one' }, { target: uuid });
  expect([await sourceOf(uuid), existsSync(overlayOf(b, 'one'))]).toEqual([a, false]);
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

test('a disk of a guest that stays paused is resized and pulled after its memory was kept in a file', async () => {
  const [a, b] = [image('paused'), image('paused-excluded')];
  const devices = disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb');
  const { uuid } = await stack.run(bus, { name: 'paused', devices });
  await call(bus, suspendDomain, {}, { target: uuid });
  const memory = `<memory snapshot='external' file='${stack.folder.file('paused.memory')}'/>`;
  await take(uuid, 'kept', {}, `${memory}<disks><disk name='vdb' snapshot='no'/></disks>`);
  for (const target of ['vda', 'vdb'])
    await call(bus, resizeDisk, { disk: target, bytes: 32 * 1024 * 1024 }, { target: uuid });
  await call(bus, pullBlocks, { disk: 'vda' }, { target: uuid });
  await eventually(async () => (await call(bus, listBlockJobs, {}, { target: uuid })).jobs, []);
  expect(await stack.state(bus, uuid)).toBe('paused(user)');
  // QEMU writes its memory again once it has run.
  const again = `<memory snapshot='external' file='${stack.folder.file('paused.second')}'/>`;
  const written = { code: 'OPERATION_INVALID', message: expect.stringContaining('resume it first') as string };
  await expect(take(uuid, 'again', {}, again)).rejects.toMatchObject(written);
  await expect(call(bus, managedSave, {}, { target: uuid })).rejects.toMatchObject(written);
  expect(await stack.state(bus, uuid)).toBe('paused(user)');
  expect([await names(uuid), existsSync(overlayOf(a, 'again'))]).toEqual([['kept'], false]);
  const { domain } = await call(bus, resumeDomain, {}, { target: uuid });
  expect(domain).toMatchObject({ state: 'running' });
  await call(bus, suspendDomain, {}, { target: uuid });
  await take(uuid, 'again', {}, again);
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('a domain does not go back half way: no disk is wound back, and its guest runs on, while an image holds a bitmap', async () => {
  const [a, b] = [image('unmarked'), image('marked')];
  const devices = disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb');
  const { uuid } = await stack.define(bus, { name: 'marked', devices });
  const target = { target: uuid };
  fill(a, 1);
  await take(uuid, 'inner');
  fill(a, 2);
  await call(bus, startDomain, {}, target);
  const disks = `<disks><disk name='vda' checkpoint='no'/><disk name='vdb' checkpoint='bitmap'/></disks>`;
  await call(
    bus,
    createCheckpoint,
    { xml: `<domaincheckpoint><name>monday</name>${disks}</domaincheckpoint>` },
    target,
  );
  const back = () => call(bus, revertSnapshot, { name: 'inner' }, target);
  const refused = (words: string): object => ({
    code: 'OPERATION_UNSUPPORTED',
    message: expect.stringMatching(words) as string,
  });
  await expect(back()).rejects.toMatchObject(refused("disk 'vdb' .* checkpoint 'monday'; delete the checkpoint first"));
  expect(await stack.state(bus, uuid)).toBe('running(booted)');
  await call(bus, destroyDomain, {}, target);
  await call(bus, deleteCheckpoint, { name: 'monday', metadata: true }, target);
  await expect(back()).rejects.toMatchObject(refused("disk 'vdb' .* bitmap 'monday'; remove that first"));
  expect(holds(a, 2)).toBe(true);
  qemuImg('bitmap', '--remove', b, 'monday');
  await back();
  expect(holds(a, 1)).toBe(true);
});

test('a disk that only the guest had comes back with a guest alone', async () => {
  const [a, b] = [image('defined'), image('plugged')];
  const { uuid } = await stack.run(bus, { name: 'plugged', devices: disk(a, 'qcow2') });
  const target = { target: uuid };
  await call(bus, attachDevice, { xml: disk(b, 'qcow2', '', 'vdb'), affect: 'live' }, target);
  await take(uuid, 'both', { diskOnly: true });
  const { domain } = await call(bus, revertSnapshot, { name: 'both' }, target);
  expect(domain).toMatchObject({ state: 'shutoff' });
  const standsOn = async (): Promise<string[]> => {
    const { xml = '' } = await call(bus, getDomainXml, {}, target);
    return [...xml.matchAll(/<disk type[^]*?<source file='([^']*)'/g)].map(([, path = '']) => path);
  };
  expect(await standsOn()).toEqual([expect.stringContaining('defined.vda.') as string]);
  await call(bus, revertSnapshot, { name: 'both', running: true }, target);
  const words = (name: string): string => expect.stringContaining(name) as string;
  expect(await standsOn()).toEqual([words('defined.vda.'), words('plugged.vdb.')]);
  await call(bus, revertSnapshot, { name: 'both', running: true, force: true }, target);
  expect(await standsOn()).toHaveLength(2);
  await call(bus, destroyDomain, {}, target);
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

test('the overlay of a domain that is off has the subclusters of what it stands on', async () => {
  const path = stack.folder.file('parts.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', '-o', 'extended_l2=on,cluster_size=128k', path, '16M');
  const { uuid } = await stack.define(bus, { name: 'parts', devices: disk(path, 'qcow2') });
  await take(uuid, 'outer', { diskOnly: true });
  const told = JSON.parse(qemuImg('info', '--output=json', overlayOf(path, 'outer'))) as object;
  expect(told).toMatchObject({ 'cluster-size': 131_072, 'format-specific': { data: { 'extended-l2': true } } });
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

test('a disk that a snapshot excludes keeps what it holds when the domain goes back, and spoils no other snapshot', async () => {
  const [a, b] = [image('taken'), image('excluded')];
  const { uuid } = await stack.define(bus, { name: 'partly', devices: disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb') });
  fill(a, 1);
  fill(b, 1);
  await take(uuid, 'part', { diskOnly: true }, `<disks><disk name='vdb' snapshot='no'/></disks>`);
  await take(uuid, 'all', { diskOnly: true });
  const present = overlayOf(b, 'all');
  fill(overlayOf(a, 'all'), 2);
  fill(present, 2);
  const standsOn = async (): Promise<string[]> => {
    const { xml = '' } = await call(bus, getDomainXml, {}, { target: uuid });
    return [...xml.matchAll(/<disk type[^]*?<source file='([^']*)'/g)].map(([, path = '']) => path);
  };
  await call(bus, revertSnapshot, { name: 'part' }, { target: uuid });
  const [now = '', kept] = await standsOn();
  expect([holds(now, 1), kept, holds(present, 2), holds(b, 1)]).toEqual([true, present, true, true]);
  expect(existsSync(overlayOf(a, 'all'))).toBe(false);

  await call(bus, startDomain, {}, { target: uuid });
  await call(bus, revertSnapshot, { name: 'part', running: true, force: true }, { target: uuid });
  expect((await standsOn())[1]).toBe(present);
  await call(bus, destroyDomain, {}, { target: uuid });
  await call(bus, deleteSnapshot, { name: 'all' }, { target: uuid });
  expect([holds(present, 2), holds(b, 1)]).toEqual([true, true]);
  expect((await standsOn())[1]).toBe(present);
});

test('an overlay that a disk kept when the domain went back goes when it goes back with all disks', async () => {
  const [a, b] = [image('first'), image('second')];
  const { uuid } = await stack.define(bus, { name: 'kept', devices: disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb') });
  await take(uuid, 'part', { diskOnly: true }, `<disks><disk name='vdb' snapshot='no'/></disks>`);
  await take(uuid, 'all', { diskOnly: true });
  await call(bus, revertSnapshot, { name: 'part' }, { target: uuid });
  expect(existsSync(overlayOf(b, 'all'))).toBe(true);
  await call(bus, revertSnapshot, { name: 'all' }, { target: uuid });
  expect(existsSync(overlayOf(b, 'all'))).toBe(false);
  await call(bus, startDomain, {}, { target: uuid });
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('a domain goes back whose images differ in their suffix alone', async () => {
  const a = image('alike');
  const b = a.replace('.qcow2', '.img');
  qemuImg('create', '-q', '-f', 'qcow2', b, '16M');
  const { uuid } = await stack.define(bus, { name: 'alike', devices: disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb') });
  const overlays = ['a', 'b'].map((name) => stack.folder.file(`alike-${name}.one`));
  const asked = overlays.map((path, n) => `<disk name='${['vda', 'vdb'][n]}'><source file='${path}'/></disk>`);
  await take(uuid, 'one', { diskOnly: true }, `<disks>${asked.join('')}</disks>`);
  for (const again of [1, 2]) {
    fill((await sourceOf(uuid)) ?? '', again);
    await call(bus, revertSnapshot, { name: 'one' }, { target: uuid });
    expect(holds((await sourceOf(uuid)) ?? '', 0)).toBe(true);
  }
  expect(overlays.map((path) => existsSync(path))).toEqual([false, false]);
});

test('no overlay is deleted while an internal snapshot is within it, whether the guest runs or not', async () => {
  const path = image('within');
  const { uuid } = await stack.define(bus, { name: 'within', devices: disk(path, 'qcow2') });
  await take(uuid, 'outer', { diskOnly: true });
  const overlaid = overlayOf(path, 'outer');
  fill(overlaid, 1);
  await take(uuid, 'inner');
  fill(overlaid, 2);
  const remove = (name: string) => call(bus, deleteSnapshot, { name }, { target: uuid });
  const refused = {
    code: 'OPERATION_UNSUPPORTED',
    message: expect.stringContaining("internal snapshot 'inner' is within the image of disk 'vda'") as string,
  };
  await expect(remove('outer')).rejects.toMatchObject(refused);
  await call(bus, startDomain, {}, { target: uuid });
  await expect(remove('outer')).rejects.toMatchObject(refused);
  const commit = { disk: 'vda', active: true, delete: true };
  await expect(call(bus, commitBlocks, commit, { target: uuid })).rejects.toMatchObject({
    code: 'OPERATION_UNSUPPORTED',
    message: expect.stringContaining(`internal snapshot 'inner' is within '${overlaid}'`) as string,
  });
  await call(bus, destroyDomain, {}, { target: uuid });
  await call(bus, revertSnapshot, { name: 'inner' }, { target: uuid });
  expect(holds(overlaid, 1)).toBe(true);
  await remove('inner');
  await remove('outer');
  expect([holds(path, 1), existsSync(overlaid)]).toEqual([true, false]);
});

test('no image is put upon or merged into another while a managed save image tells of a guest on it', async () => {
  const path = image('saved');
  const { uuid } = await stack.run(bus, { name: 'saved', devices: disk(path, 'qcow2') });
  await take(uuid, 'one', { diskOnly: true });
  await call(bus, managedSave, {}, { target: uuid });
  const refused = {
    code: 'OPERATION_INVALID',
    message: expect.stringContaining('domain has a managed save image') as string,
  };
  const remove = (how: object = {}) => call(bus, deleteSnapshot, { name: 'one', ...how }, { target: uuid });
  const asked = `<disks><disk name='vda' snapshot='external'/></disks>`;
  await expect(take(uuid, 'two', { diskOnly: true })).rejects.toMatchObject(refused);
  await expect(take(uuid, 'two', {}, asked)).rejects.toMatchObject(refused);
  await expect(remove()).rejects.toMatchObject(refused);
  expect([await sourceOf(uuid, true), existsSync(overlayOf(path, 'two'))]).toEqual([overlayOf(path, 'one'), false]);
  await call(bus, startDomain, {}, { target: uuid });
  expect(await sourceOf(uuid)).toBe(overlayOf(path, 'one'));
  await call(bus, managedSave, {}, { target: uuid });
  await remove({ metadata: true });
  expect(await names(uuid)).toEqual([]);
  expect(await call(bus, removeManagedSave, {}, { target: uuid })).toMatchObject({ removed: true });
  expect(await call(bus, removeManagedSave, {}, { target: uuid })).toMatchObject({ removed: false });
  await take(uuid, 'two', { diskOnly: true });
  expect(await sourceOf(uuid)).toBe(overlayOf(path, 'two'));
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

test('what others stand on is not removed: neither with a snapshot of a branch that was left, nor by going back', async () => {
  const path = image('branch');
  const { uuid } = await stack.define(bus, { name: 'branches', devices: disk(path, 'qcow2') });
  await take(uuid, 'one', { diskOnly: true });
  await take(uuid, 'two', { diskOnly: true });
  const [state, top] = [overlayOf(path, 'one'), overlayOf(path, 'two')];
  fill(state, 5);
  fill(top, 6);
  const onState = overlay(stack.folder.file('on-state.qcow2'), state, 'qcow2');
  const onTop = overlay(stack.folder.file('on-top.qcow2'), top, 'qcow2');
  const { uuid: other } = await stack.define(bus, {
    name: 'borrower',
    devices: disk(onState, 'qcow2') + disk(onTop, 'qcow2', '', 'vdb'),
  });
  await call(bus, revertSnapshot, { name: 'one' }, { target: uuid });
  expect(holds(onTop, 6)).toBe(true);
  const remove = (how: object = {}) => call(bus, deleteSnapshot, { name: 'two', ...how }, { target: uuid });
  const refused = {
    code: 'IMAGE_IN_USE',
    message: expect.stringMatching(/branch\.one.*'borrower'/) as string,
  };
  await expect(remove()).rejects.toMatchObject(refused);
  await call(bus, startDomain, {}, { target: uuid });
  await expect(remove()).rejects.toMatchObject(refused);
  await call(bus, destroyDomain, {}, { target: uuid });
  expect([holds(onState, 5), await names(uuid)]).toEqual([true, ['one', 'two']]);
  await call(bus, undefineDomain, {}, { target: other });
  await eventually(() => remove().then(() => true), true);
  expect(existsSync(state)).toBe(false);
});

test('images of a branch in a pool go together, unless a volume that stays has one below it', async () => {
  const folder = stack.folder.file('branches');
  const document = { type: 'dir' as const, name: 'branches', target: { path: folder } };
  await call(bus, createPool, { document, build: 'new' }, { target: 'h1' });
  const path = image('branches/base');
  const { uuid } = await stack.define(bus, { name: 'pooled', devices: disk(path, 'qcow2') });
  for (const name of ['one', 'two', 'three']) await take(uuid, name, { diskOnly: true });
  const states = ['one', 'two'].map((name) => overlayOf(path, name));
  const leaning = overlay(`${folder}/leaning.qcow2`, states[0]!, 'qcow2');
  await call(bus, refreshPool, { pool: 'branches' }, { target: 'h1' });
  await call(bus, revertSnapshot, { name: 'one' }, { target: uuid });
  expect(existsSync(overlayOf(path, 'three'))).toBe(false);
  const remove = () => call(bus, deleteSnapshot, { name: 'two', children: true }, { target: uuid });
  await expect(remove()).rejects.toMatchObject({
    code: 'IMAGE_IN_USE',
    message: expect.stringContaining("volume 'branches/leaning.qcow2'") as string,
  });
  expect(states.map((one) => existsSync(one))).toEqual([true, true]);
  rmSync(leaning);
  await eventually(() => remove().then(() => true), true);
  expect(states.map((one) => existsSync(one))).toEqual([false, false]);
  expect(await names(uuid)).toEqual(['one']);
  const listed = async (): Promise<string[]> => {
    const { volumes } = await call(bus, listVolumes, { pool: 'branches' }, { target: 'h1' });
    return volumes.filter((volume) => !existsSync(volume.path)).map(({ name }) => name);
  };
  // Nobody has told of that one.
  await eventually(listed, ['leaning.qcow2']);
});

test('images that are merged or go with a snapshot are volumes of their pool no longer', async () => {
  const folder = stack.folder.file('merged');
  const pool = 'merged';
  const document = { type: 'dir' as const, name: pool, target: { path: folder } };
  await call(bus, createPool, { document, build: 'new' }, { target: 'h1' });
  const path = image('merged/base');
  await call(bus, refreshPool, { pool }, { target: 'h1' });
  const { uuid } = await stack.run(bus, { name: 'merges', devices: disk(path, 'qcow2') });
  const volumes = async (): Promise<string[]> =>
    (await call(bus, listVolumes, { pool }, { target: 'h1' })).volumes.map(({ name }) => name);
  const alone = ['base.qcow2'];
  const areThere = async (...expected: string[]): Promise<void> => {
    await eventually(volumes, expected);
    expect(readdirSync(folder).sort()).toEqual(expected);
  };
  for (const name of ['one', 'two', 'three']) await take(uuid, name, { diskOnly: true });
  await areThere('base.one', 'base.qcow2', 'base.three', 'base.two');
  await call(bus, deleteSnapshot, { name: 'two' }, { target: uuid });
  await areThere('base.one', 'base.qcow2', 'base.three');
  await call(bus, destroyDomain, {}, { target: uuid });
  await call(bus, deleteSnapshot, { name: 'three' }, { target: uuid });
  await areThere('base.one', 'base.qcow2');
  await call(bus, startDomain, {}, { target: uuid });
  await call(bus, deleteSnapshot, { name: 'one' }, { target: uuid });
  await areThere(...alone);

  await take(uuid, 'bare', { diskOnly: true, noMetadata: true });
  await areThere('base.bare', 'base.qcow2');
  await call(bus, commitBlocks, { disk: 'vda', active: true, delete: true }, { target: uuid });
  const pivot = () => call(bus, abortBlockJob, { disk: 'vda', pivot: true }, { target: uuid });
  await eventually(() => pivot().then(() => true), true);
  await areThere(...alone);
  const { disagreements } = await call(bus, verifyFleet, {}, { timeoutMs: 60_000 });
  expect(disagreements).toEqual([]);
});

test('a volume that somebody has taken away is deleted by name; one that its pool does not know is not there', async () => {
  const folder = stack.folder.file('away');
  const document = { type: 'dir' as const, name: 'away', target: { path: folder } };
  await call(bus, createPool, { document, build: 'new' }, { target: 'h1' });
  const path = image('away/lost');
  await call(bus, refreshPool, { pool: 'away' }, { target: 'h1' });
  rmSync(path);
  const remove = () => call(bus, deleteVolume, { pool: 'away', volume: 'lost.qcow2' }, { target: 'h1' });
  expect((await remove()).volume.path).toBe(path);
  await expect(remove()).rejects.toMatchObject({ code: 'VOLUME_NOT_FOUND' });
});

const jobsEnd = (domain: string): Promise<unknown> =>
  eventually(async () => (await call(bus, listBlockJobs, {}, { target: domain })).jobs, []);

/** A domain that is off, of two disks, with `one` and `two` upon each other; vdb holds 1 at first, 2 since `one`, 3 since `two`. */
async function twice(name: string): Promise<{ uuid: string; b: string; remove: (name: string) => Promise<unknown> }> {
  const [a, b] = [image(`${name}-a`), image(`${name}-b`)];
  const { uuid } = await stack.define(bus, { name, devices: disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb') });
  fill(b, 1);
  await take(uuid, 'one', { diskOnly: true });
  fill(overlayOf(b, 'one'), 2);
  await take(uuid, 'two', { diskOnly: true });
  fill(overlayOf(b, 'two'), 3);
  return { uuid, b, remove: (snapshot) => call(bus, deleteSnapshot, { name: snapshot }, { target: uuid }) };
}

const movedAway = {
  code: 'OPERATION_UNSUPPORTED',
  message: expect.stringMatching(/disk 'vdb' no longer stands .* delete the metadata alone/) as string,
};

test('what a pull has taken out of a chain is not deleted as if it were merged', async () => {
  const { uuid, b, remove } = await twice('pulled');
  await call(bus, startDomain, {}, { target: uuid });
  await call(bus, pullBlocks, { disk: 'vdb' }, { target: uuid });
  await jobsEnd(uuid);
  for (const name of ['one', 'two']) await expect(remove(name)).rejects.toMatchObject(movedAway);
  await call(bus, destroyDomain, {}, { target: uuid });
  for (const name of ['one', 'two']) await expect(remove(name)).rejects.toMatchObject(movedAway);
  expect([holds(overlayOf(b, 'two'), 3), holds(overlayOf(b, 'one'), 2), holds(b, 1)]).toEqual([true, true, true]);
  await call(bus, revertSnapshot, { name: 'two' }, { target: uuid });
  const { xml = '' } = await call(bus, getDomainXml, {}, { target: uuid });
  const now = [...xml.matchAll(/<disk type[^]*?<source file='([^']*)'/g)].map(([, path = '']) => path)[1] ?? '';
  expect(holds(now, 2)).toBe(true);
});

test('no overlay is merged into the state of another snapshot, which a pull has put below it', async () => {
  const { uuid, b, remove } = await twice('shortened');
  await call(bus, startDomain, {}, { target: uuid });
  await call(bus, pullBlocks, { disk: 'vdb', base: b }, { target: uuid });
  await jobsEnd(uuid);
  await expect(remove('two')).rejects.toMatchObject(movedAway);
  await call(bus, destroyDomain, {}, { target: uuid });
  await expect(remove('two')).rejects.toMatchObject(movedAway);
  expect([holds(overlayOf(b, 'two'), 3), holds(b, 1)]).toEqual([true, true]);
});

test('snapshots of a disk that stands on a copy are not deleted with their images', async () => {
  const { uuid, b, remove } = await twice('copied');
  const path = stack.folder.file('the-copy.qcow2');
  await call(bus, startDomain, {}, { target: uuid });
  const xml = `<disk type='file'><driver type='qcow2'/><source file='${path}'/></disk>`;
  await call(bus, copyBlocks, { disk: 'vdb', xml, transientJob: true }, { target: uuid });
  await eventually(async () => (await call(bus, listBlockJobs, {}, { target: uuid })).jobs[0]?.state, 'ready');
  await call(bus, abortBlockJob, { disk: 'vdb', pivot: true }, { target: uuid });
  await jobsEnd(uuid);
  await expect(remove('one')).rejects.toMatchObject(movedAway);
  await call(bus, destroyDomain, {}, { target: uuid });
  await expect(remove('two')).rejects.toMatchObject(movedAway);
  expect([path, overlayOf(b, 'two')].map((one) => holds(one, 3))).toEqual([true, true]);
});

test('no overlay is merged away from under the state of a branch that was left', async () => {
  const path = image('under');
  const { uuid } = await stack.define(bus, { name: 'under', devices: disk(path, 'qcow2') });
  const remove = (name: string, how: object = {}) => call(bus, deleteSnapshot, { name, ...how }, { target: uuid });
  for (const [n, name] of ['one', 'two', 'three'].entries()) {
    fill((await sourceOf(uuid)) ?? '', n + 1);
    await take(uuid, name, { diskOnly: true });
  }
  await call(bus, revertSnapshot, { name: 'two' }, { target: uuid });
  const refused = {
    code: 'OPERATION_UNSUPPORTED',
    message: expect.stringContaining("snapshot 'three' stands on the overlay") as string,
  };
  await expect(remove('one')).rejects.toMatchObject(refused);
  await call(bus, startDomain, {}, { target: uuid });
  await expect(remove('one')).rejects.toMatchObject(refused);
  await call(bus, destroyDomain, {}, { target: uuid });
  expect(holds(overlayOf(path, 'two'), 3)).toBe(true);
  await call(bus, revertSnapshot, { name: 'three' }, { target: uuid });
  expect(holds((await sourceOf(uuid)) ?? '', 3)).toBe(true);
  await remove('one');
  expect([existsSync(overlayOf(path, 'one')), holds(overlayOf(path, 'two'), 3)]).toEqual([false, true]);
});

test('a snapshot goes that was taken of a disk which the domain no longer has; its overlay stays with the disk', async () => {
  const [a, b] = [image('left'), image('detached')];
  const { uuid } = await stack.define(bus, { name: 'detaching', devices: disk(a, 'qcow2') });
  const ask = (name: string) => call(bus, deleteSnapshot, { name }, { target: uuid });
  await call(bus, attachDevice, { xml: disk(b, 'qcow2', '', 'vdb') }, { target: uuid });
  await take(uuid, 'inner');
  await take(uuid, 'one', { diskOnly: true });
  for (const path of [a, b]) fill(overlayOf(path, 'one'), 1);
  await call(bus, detachDevice, { xml: disk(overlayOf(b, 'one'), 'qcow2', '', 'vdb') }, { target: uuid });
  await ask('one');
  expect([await sourceOf(uuid), holds(a, 1), existsSync(overlayOf(a, 'one'))]).toEqual([a, true, false]);
  expect([holds(overlayOf(b, 'one'), 1), holds(b, 0)]).toEqual([true, true]);
  await ask('inner');
  expect(await names(uuid)).toEqual([]);
});

test('no overlay is left behind of a domain that went back and forth between snapshots', async () => {
  mkdirSync(stack.folder.file('forth'));
  const path = image('forth/base');
  const { uuid } = await stack.define(bus, { name: 'forth', devices: disk(path, 'qcow2') });
  const back = (name: string) => call(bus, revertSnapshot, { name }, { target: uuid });
  const files = () => readdirSync(stack.folder.file('forth')).sort();
  const remove = (name: string) => call(bus, deleteSnapshot, { name }, { target: uuid });
  await take(uuid, 'one', { diskOnly: true });
  await take(uuid, 'two', { diskOnly: true });
  await back('one');
  await take(uuid, 'three', { diskOnly: true });
  await back('two');
  fill((await sourceOf(uuid)) ?? '', 4);
  await remove('three');
  expect(files()).toEqual(['base.one', 'base.qcow2', expect.stringMatching(/^base\.vda\.\d+$/)]);
  await remove('one');
  await remove('two');
  expect([files(), holds(path, 4)]).toEqual([['base.qcow2'], true]);
});
