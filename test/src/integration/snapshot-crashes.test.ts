/**
 * The driver is killed while it works on snapshots: afterwards each is there wholly or not at all, and the guest runs on. QEMU is
 * killed over one: nothing that the guest had flushed is lost.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import {
  createDomain,
  createSnapshot,
  deleteSnapshot,
  destroyDomain,
  driverSubject,
  getDomainXml,
  isVirtError,
  listSnapshots,
  revertSnapshot,
  startDomain,
  storageLeases,
  storagePrepare,
  verifyFleet,
} from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { WritingGuest } from '../block-stand/writing-guest';
import { disk, nodeNames, qemuImg } from './storage-stand';

jest.setTimeout(300_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack[Symbol.asyncDispose]());

/** Kill the driver at that moment of the work, and start it again. */
async function killedAt(moment: Promise<unknown>, work: Promise<unknown>): Promise<void> {
  const settled = work.catch((error: unknown) => {
    if (!isVirtError(error)) throw error;
  });
  await moment;
  await stack.restartDriver('h1');
  await settled;
}

const killedAfter = (ms: number, work: Promise<unknown>): Promise<void> => killedAt(delay(ms), work);

/** The definition on disk names this overlay: QEMU goes over to it about now. */
async function defined(uuid: string, overlay: string): Promise<void> {
  const definition = stack.folder.file('state', 'hosts', 'h1', 'qemu', 'domains', uuid, 'config.xml');
  const isNamed = (): boolean => existsSync(definition) && readFileSync(definition, 'utf8').includes(overlay);
  await eventually(isNamed, true, { intervalMs: 1 });
}

const documentOf = async (domain: string, inactive: boolean): Promise<string> =>
  (await call(bus, getDomainXml, { inactive }, { target: domain })).xml ?? '';

const names = async (domain: string): Promise<string[]> =>
  (await call(bus, listSnapshots, {}, { target: domain })).snapshots.map(({ name }) => name);

const formatNodes = async (domain: string): Promise<number> =>
  (await nodeNames(bus, domain)).filter((name) => name.endsWith('-format')).length;

/** Whether a snapshot is told of, whether each document names each of its overlays, and what QEMU has open. */
async function standingOf(domain: string, name: string, overlays: readonly string[]) {
  const listed = (await names(domain)).includes(name);
  const documents = [await documentOf(domain, false), await documentOf(domain, true)];
  const named = documents.flatMap((document) => overlays.map((overlay) => document.includes(overlay)));
  return { listed, named, nodes: await formatNodes(domain) };
}

/** Milliseconds after a snapshot was asked for. */
const moments = [5, 60, 90, 120, 160, 250];
const timesDefined = 4;

test('a snapshot of two disks is there or not, whenever the driver is killed over it', async () => {
  const paths = ['a', 'b'].map((name) => stack.folder.file(`${name}.qcow2`));
  for (const path of paths) qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  const devices = paths.map((path, i) => disk(path, 'qcow2', '', `vd${'ab'[i]!}`)).join('');
  const { uuid } = await stack.run(bus, { name: 'crash', devices });
  let layers = 1;
  const lost: string[] = [];
  for (let round = 0; round < moments.length + timesDefined; round++) {
    const name = `s${round}`;
    const overlays = paths.map((path) => path.replace('.qcow2', `.${name}`));
    const xml = `<domainsnapshot><name>${name}</name></domainsnapshot>`;
    const work = call(bus, createSnapshot, { xml, diskOnly: true }, { target: uuid, timeoutMs: 4_000 });
    const ms = moments[round];
    await killedAt(ms === undefined ? defined(uuid, overlays[0]!) : delay(ms), work);
    // A driver that is back in time to be asked again may still be at it.
    const { listed } = await eventually(
      () => standingOf(uuid, name, overlays),
      ({ listed, named, nodes }) => named.every((one) => one === listed) && nodes === 2 * (layers + Number(listed)),
    );
    if (listed) layers++;
    else lost.push(...overlays);
    expect(overlays.map((overlay) => listed && !existsSync(overlay))).toEqual([false, false]);
    expect(await stack.state(bus, uuid)).toBe('running(booted)');
  }
  // What storage made for a command that no driver has seen goes when the domain is next heard of.
  const last = '<domainsnapshot><name>last</name></domainsnapshot>';
  await call(bus, createSnapshot, { xml: last, diskOnly: true }, { target: uuid });
  // Merged again: killed over that as well, asked again until it is done.
  for (const name of (await names(uuid)).reverse()) {
    await killedAfter(60, call(bus, deleteSnapshot, { name }, { target: uuid, timeoutMs: 4_000 }));
    // A driver that is back in time to be asked again may still be at it.
    const again = call(bus, deleteSnapshot, { name }, { target: uuid });
    await again.catch((error: unknown) => expect(error).toMatchObject({ code: 'NO_DOMAIN_SNAPSHOT' }));
  }
  expect(await names(uuid)).toEqual([]);
  await eventually(() => lost.filter((overlay) => existsSync(overlay)), [], { timeoutMs: 20_000 });
  expect(await formatNodes(uuid)).toBe(2);
  for (const path of paths) expect(await documentOf(uuid, true)).toContain(`'${path}'`);
});

test('a domain has gone back to a snapshot or not, whenever the driver is killed over it', async () => {
  const path = stack.folder.file('back.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  const { uuid } = await stack.define(bus, { name: 'back', devices: disk(path, 'qcow2') });
  const xml = '<domainsnapshot><name>base</name></domainsnapshot>';
  await call(bus, createSnapshot, { xml, diskOnly: true }, { target: uuid });
  for (const ms of [10, 40, 80, 130]) {
    await killedAfter(ms, call(bus, revertSnapshot, { name: 'base' }, { target: uuid, timeoutMs: 4_000 }));
    const below = async (): Promise<unknown> => {
      const now = /<source file='([^']*)'/.exec(await documentOf(uuid, true))?.[1] ?? '';
      return (JSON.parse(qemuImg('info', '--output=json', now)) as Record<string, unknown>)['full-backing-filename'];
    };
    await eventually(below, path);
    expect(await names(uuid)).toEqual(['base']);
  }
  await call(bus, deleteSnapshot, { name: 'base' }, { target: uuid });
  expect(await documentOf(uuid, true)).toContain(`'${path}'`);
});

test('what was planned by a driver that is started again before it is done is planned anew, and what was made for it goes', async () => {
  const path = stack.folder.file('planned.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  const { uuid } = await stack.run(bus, { name: 'planned', devices: disk(path, 'qcow2') });
  const host = await stack.connect('host-h1');
  let asked = 0;
  host.nc.subscribe(driverSubject('h1', 'storage', storagePrepare.operation), { callback: () => asked++ });
  await host.nc.flush();
  const seconds = (): number => Math.floor(Date.now() / 1_000);
  /** Storage is asked for what the first driver has planned, and answers when the second one is there. */
  const restartedOver = async <T>(work: () => Promise<T>): Promise<T> => {
    const before = asked;
    const storage = stack.storages.get('h1')!;
    storage.kill('SIGSTOP');
    try {
      const done = work();
      done.catch(() => undefined);
      await eventually(() => asked > before, true);
      const planned = seconds();
      await stack.restartDriver('h1');
      await eventually(() => seconds() > planned, true);
      storage.kill('SIGCONT');
      return await done;
    } finally {
      storage.kill('SIGCONT');
    }
  };
  const present = async (): Promise<string> =>
    /<source file='([^']*)'/
      .exec(await documentOf(uuid, true))?.[1]
      ?.split('/')
      .at(-1) ?? '';
  const images = (): string[] =>
    [...readdirSync(stack.folder.path)].filter((name) => name.startsWith('planned.')).sort();
  for (const online of [true, false]) {
    const before = images();
    if (!online) await call(bus, destroyDomain, {}, { target: uuid });
    const { snapshot } = await restartedOver(() =>
      call(bus, createSnapshot, { xml: '<domainsnapshot/>', diskOnly: true }, { target: uuid }),
    );
    expect(await present()).toBe(`planned.${snapshot.name}`);
    await eventually(images, [...before, `planned.${snapshot.name}`].sort(), { timeoutMs: 20_000 });
  }
  const [first] = (await names(uuid)).sort();
  await restartedOver(() => call(bus, revertSnapshot, { name: first!, running: true }, { target: uuid }));
  expect(await present()).toMatch(/^planned\.vda\.\d+$/);
  const state = `planned.${first}`;
  await eventually(images, [state, 'planned.qcow2', await present()].sort(), { timeoutMs: 20_000 });
  await call(bus, destroyDomain, {}, { target: uuid });
  await eventually(async () => (await call(bus, verifyFleet, {})).disagreements, []);
});

test('a transient domain has a guest or is gone, and all agree on it, whenever the driver is killed over its way back', async () => {
  const path = stack.folder.file('transient.qcow2');
  const document = await stack.domainXml({ name: 'transient', devices: disk(path, 'qcow2') });
  const xml = '<domainsnapshot><name>base</name></domainsnapshot>';
  const others = stack.guestPids().length;
  for (const ms of [30, 120, 250]) {
    qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
    const { uuid } = (await call(bus, createDomain, { xml: document })).domain;
    await call(bus, createSnapshot, { xml }, { target: uuid });
    await killedAfter(ms, call(bus, revertSnapshot, { name: 'base' }, { target: uuid, timeoutMs: 2_000 }));
    // Between two guests it is told as stopped and not as off: one of the two follows.
    const last = await eventually(
      async () => (await stack.events(bus, uuid)).filter(({ class: kind }) => kind === 'lifecycle').at(-1)!,
      ({ type, domain }) => type !== 'stopped' || domain.state === 'shutoff',
    );
    if (last.type !== 'stopped') await call(bus, destroyDomain, {}, { target: uuid });
    await expect(stack.state(bus, uuid)).rejects.toMatchObject({ code: 'DOMAIN_NOT_FOUND' });
    await eventually(async () => (await call(bus, verifyFleet, {})).disagreements, []);
    expect(stack.guestPids()).toHaveLength(others);
  }
});

test('nothing flushed is lost when QEMU dies over a snapshot before we hear that it was taken', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'windowed' });
  const overlay = guest.file('vda.window');
  const xml = `<domainsnapshot><name>window</name><disks>
    <disk name='vda' snapshot='external'><source file='${overlay}'/></disk>
    <disk name='vdb' snapshot='external'><source file='${guest.file('vdb.window')}'/></disk></disks></domainsnapshot>`;
  const taken = call(bus, createSnapshot, { xml, diskOnly: true }, { target: guest.uuid, timeoutMs: 60_000 });
  taken.catch(() => undefined);
  const driver = stack.drivers.get('h1')!;
  await defined(guest.uuid, overlay);
  driver.kill('SIGSTOP');
  try {
    await guest.flushesMore(6);
    process.kill(stack.pidOf(guest.uuid), 'SIGKILL');
  } finally {
    driver.kill('SIGCONT');
  }
  await taken;
  await eventually(() => stack.state(bus, guest.uuid), 'shutoff(crashed)');
  expect(await names(guest.uuid)).toEqual(['window']);
  const { flushed } = guest;
  await guest.boot();
  expect(await guest.losses(flushed)).toEqual([]);
  await guest.destroy();
});

test('a snapshot that a driver died over while QEMU hung is none once it answers, and the next start is from what the guest wrote', async () => {
  const path = stack.folder.file('hung.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  const { uuid } = await stack.run(bus, { name: 'hung', devices: disk(path, 'qcow2') });
  const take = (name: string, timeoutMs = 60_000) =>
    call(
      bus,
      createSnapshot,
      { xml: `<domainsnapshot><name>${name}</name></domainsnapshot>`, diskOnly: true },
      { target: uuid, timeoutMs },
    );
  const pid = stack.pidOf(uuid);
  process.kill(pid, 'SIGSTOP');
  try {
    const lost = take('lost', 3_000);
    await killedAt(defined(uuid, 'hung.lost'), lost);
    // Whoever planned now would not know what the guest stands on.
    await expect(take('early', 2_000)).rejects.toMatchObject({ code: 'DOMAIN_BUSY' });
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await eventually(() => take('next').then(() => true), true);
  expect(await names(uuid)).toEqual(['next']);
  const overlay = stack.folder.file('hung.next');
  const sources = async (inactive: boolean): Promise<string[]> =>
    [...(await documentOf(uuid, inactive)).matchAll(/<source file='([^']*)'/g)].map(([, file]) => file!);
  expect([await sources(false), await sources(true)]).toEqual([
    [overlay, path],
    [overlay, path],
  ]);
  expect(await formatNodes(uuid)).toBe(2);
  await call(bus, destroyDomain, {}, { target: uuid });
  await call(bus, startDomain, {}, { target: uuid });
  expect(await sources(false)).toEqual([overlay, path]);
  await eventually(() => existsSync(stack.folder.file('hung.lost')), false);
  await call(bus, destroyDomain, {}, { target: uuid });
  await eventually(async () => (await call(bus, verifyFleet, {})).disagreements, []);
});

test('a merge of images that QEMU hung in, and a driver died in, holds what it writes to until it has ended', async () => {
  const path = stack.folder.file('merged.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  const { uuid } = await stack.run(bus, { name: 'merged', devices: disk(path, 'qcow2') });
  const xml = '<domainsnapshot><name>gone</name></domainsnapshot>';
  await call(bus, createSnapshot, { xml, diskOnly: true }, { target: uuid });
  const record = stack.folder.file('state', 'hosts', 'h1', 'qemu', 'domains', uuid, 'record.json');
  const says = (words: string) => (): boolean => readFileSync(record, 'utf8').includes(words);
  const pid = stack.pidOf(uuid);
  try {
    const deleted = call(bus, deleteSnapshot, { name: 'gone' }, { target: uuid, timeoutMs: 10_000 });
    const begun = eventually(says('"active-commit"'), true, { intervalMs: 1 });
    await killedAt(
      begun.then(() => process.kill(pid, 'SIGSTOP')),
      deleted,
    );
    expect(says('"base:vda"')()).toBe(true);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await eventually(says('"base:vda"'), false, { timeoutMs: 60_000 });
  const service = await stack.serviceBus();
  const leased = async (): Promise<string[]> => {
    const { holders } = await callDriver(service, { host: 'h1', driver: 'storage' }, storageLeases, { domain: uuid });
    return holders.flatMap((holder) => holder.leases.map(({ target, mode }) => `${target} ${mode}`)).sort();
  };
  await eventually(leased, ['vda exclusive', 'vda shared']);
  await call(bus, deleteSnapshot, { name: 'gone' }, { target: uuid });
  expect([await names(uuid), await formatNodes(uuid)]).toEqual([[], 1]);
  expect(await documentOf(uuid, true)).toContain(`'${path}'`);
  await call(bus, destroyDomain, {}, { target: uuid });
});
