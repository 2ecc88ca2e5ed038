/** Real guests moved by the migration service between two hosts, and what becomes of them when a party is killed meanwhile. */
import { randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  abortMigration,
  buckets,
  checkMigration,
  createDomain,
  createPool,
  createVolume,
  destroyDomain,
  eventFilter,
  getDomain,
  getDomainXml,
  getJob,
  migrateDomain,
  openConsole,
  setMigrationLimits,
  showChain,
  showMigration,
  startDomain,
  storageLeases,
  suspendDomain,
  undefineDomain,
  usersOfImage,
  verifyFleet,
  type DomainSummary,
  type Migration,
  type RequestInput,
} from '@virtbus/shared';
import { call, callDriver, clientStream, newId, Table, tail, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { z } from 'zod';
import { disk } from './storage-stand';

jest.setTimeout(300_000);

/** How long a step may take on a machine that is busy beyond its means. */
const patience = { timeoutMs: 60_000 };
/** Slow enough that a guest of 32 MiB is still being sent when something happens to it, bytes a second. */
const slow = 5_000;

let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  const env = { VIRTBUS_MIGRATION_ADDRESS: '127.0.0.1', VIRTBUS_MIGRATION_PATIENCE_MS: '20000' };
  stack = await Stack.start({ hosts: ['h1', 'h2'], migrationServices: 1, env });
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

type Wish = RequestInput<typeof migrateDomain>;

const begin = async (target: string, wish: Wish): Promise<Migration> =>
  (await call(bus, migrateDomain, { live: true, ...wish }, { target, timeoutMs: 60_000 })).migration;

const show = async (id: string): Promise<Migration> =>
  (await call(bus, showMigration, {}, { target: id, timeoutMs: 20_000 })).migration;

/** Its end, once nobody is owed anything. */
async function ended({ id }: Migration): Promise<Migration> {
  await eventually(async () => (await show(id)).step, 'done', patience);
  return show(id);
}

async function move(target: string, wish: Wish): Promise<void> {
  const { state, reason, owed } = await ended(await begin(target, wish));
  expect({ state, reason, owed }).toEqual({ state: 'completed', reason: undefined, owed: [] });
}

/** Begins one and waits until memory is sent. */
async function sending(target: string, wish: Partial<Wish> = {}): Promise<Migration> {
  const begun = await begin(target, { to: 'h2', bandwidth: slow, ...wish });
  const now = async (): Promise<string> => {
    const { state, reason, progress } = await show(begun.id);
    return progress?.memory ? 'sends' : `${state} ${reason ?? ''}`;
  };
  await eventually(now, 'sends', patience);
  return begun;
}

const hurry = ({ id }: Migration): Promise<unknown> =>
  call(bus, setMigrationLimits, { bandwidth: 1_000_000_000 }, { target: id, timeoutMs: 20_000 });

/** Where the domain is, as each host itself says. */
async function places(uuid: string): Promise<string[]> {
  const at = async (host: string): Promise<string[]> => {
    const mine = (await stack.inventory(host)).filter((domain) => domain.uuid === uuid);
    return mine.map(({ state, reason, epoch }) => `${host} ${state}(${reason}) epoch ${epoch}`);
  };
  return [...(await at('h1')), ...(await at('h2'))];
}

/** The first pass over a guest's memory that an event told of; a guest that changes little needs no second one. */
async function firstPass(uuid: string): Promise<unknown> {
  const signal = AbortSignal.timeout(patience.timeoutMs);
  const filter = eventFilter({ uuid, class: 'migration-iteration' });
  for await (const { event } of tail(bus, { filter, since: 'all', signal })) return event.data?.['iteration'];
  return undefined;
}

/** Processes of one domain's guest. */
const processes = (uuid: string): number =>
  stack.guestPids().filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(uuid)).length;

async function remove({ uuid, persistent }: DomainSummary): Promise<void> {
  await call(bus, destroyDomain, {}, { target: uuid }).catch(() => undefined);
  if (persistent) await call(bus, undefineDomain, {}, { target: uuid });
}

/** What a counting guest has said so far at the place where it is now. */
async function listen(domain: string): Promise<() => number[]> {
  let text = '';
  const session = newId();
  const decoder = new TextDecoder();
  const stream = clientStream(bus, session, (bytes) => void (text += decoder.decode(bytes, { stream: true })));
  const { input } = await call(bus, openConsole, { session, force: true }, { target: domain });
  stream.connect(input);
  return () => [...text.matchAll(/count (\d+)\r/g)].map(([, n]) => Number(n));
}

test('a guest that counts is moved there and back while it runs, and its counter never goes back', async () => {
  const guest = await stack.run(bus, { name: 'counts', host: 'h1', linux: true, append: 'tiny.counter' });
  const counted: number[][] = [];
  for (const to of ['h2', 'h1', undefined]) {
    const counts = await listen('counts');
    await eventually(() => counts().length > 1, true, { timeoutMs: 120_000 });
    if (to) await move('counts', { to });
    counted.push(counts());
  }
  const all = counted.flat();
  expect(all).toEqual([...all].sort((a, b) => a - b));
  expect(new Set(all).size).toBe(all.length);
  expect(await places(guest.uuid)).toEqual([`h1 running(migrated) epoch ${guest.epoch + 2}`]);
  expect(processes(guest.uuid)).toBe(1);
  const events = (await stack.events(bus, guest.uuid)).map(({ domain }) => domain);
  const inOrder = events.sort((a, b) => a.epoch - b.epoch || a.revision - b.revision);
  const revisions = inOrder.map(({ revision }) => revision);
  expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
  await remove(guest);
});

test('sockets of a moved guest are those of its new host, and it is no stranger there', async () => {
  const devices = `<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`;
  const guest = await stack.run(bus, { name: 'talks', host: 'h1', devices });
  const socket = async (): Promise<string> => {
    const { xml } = await call(bus, getDomainXml, {}, { target: 'talks' });
    return /path='([^']*org.qemu.guest_agent.0)'/.exec(xml)?.[1] ?? '';
  };
  const before = await socket();
  await move('talks', { to: 'h2' });
  const after = await socket();
  expect([after === before, existsSync(before), existsSync(after)]).toEqual([false, false, true]);
  const { disagreements } = await call(bus, verifyFleet, {}, { timeoutMs: 60_000 });
  expect(disagreements).toEqual([]);
  await remove(guest);
});

test('a paused guest stays paused, its definition moves with it; a transient one has none there either', async () => {
  const kept = await stack.run(bus, { name: 'kept', host: 'h1' });
  await call(bus, suspendDomain, {}, { target: 'kept' });
  await move('kept', { to: 'h2', live: false, paused: true, name: 'kept2' });
  expect(await places(kept.uuid)).toEqual([expect.stringMatching(/^h2 paused/)]);
  const { xml } = await call(bus, getDomainXml, { inactive: true }, { target: 'kept2' });
  expect(xml).toContain('<name>kept2</name>');
  await remove(kept);

  const xmlOfTransient = await stack.domainXml({ name: 'passing' });
  const { domain } = await call(bus, createDomain, { xml: xmlOfTransient, host: 'h1' });
  await move('passing', { to: 'h2' });
  expect((await stack.inventory('h2')).find(({ uuid }) => uuid === domain.uuid)).toMatchObject({ persistent: false });
  await remove(domain);
});

test('disks are copied or shared; their leases go over to the target, and their files back to their owner', async () => {
  const [here, there] = [stack.folder.file('here.img'), stack.folder.file('there.img')];
  const content = randomBytes(1024 * 1024);
  writeFileSync(here, content);
  writeFileSync(there, Buffer.alloc(content.length));
  const { uid } = statSync(there);
  const guest = await stack.run(bus, { name: 'disks', host: 'h1', devices: disk(here, 'raw') });
  const { reasons } = await call(bus, checkMigration, { to: 'h2', live: true }, { target: 'disks', timeoutMs: 30_000 });
  expect(reasons).toEqual([expect.objectContaining({ code: 'MIGRATE_UNSAFE' })]);

  const { xml } = await call(bus, getDomainXml, { secure: true }, { target: 'disks' });
  const wish = { to: 'h2', storage: 'full' as const, xml: xml!.replace(here, there) };
  await move('disks', wish);
  expect(readFileSync(there).equals(content)).toBe(true);
  const service = await stack.connect('service');
  const held = async (host: string): Promise<string[]> => {
    const { holders } = await callDriver(service, { host, driver: 'storage' }, storageLeases, { domain: guest.uuid });
    return [...new Set(holders.flatMap(({ leases }) => leases.map(({ path }) => path)))];
  };
  await eventually(() => held('h1'), [], patience);
  expect(await held('h2')).toEqual([there]);
  expect(statSync(here).uid).toBe(uid);

  await move('disks', { to: 'h1', unsafe: true });
  await eventually(() => held('h2'), [], patience);
  expect(await held('h1')).toEqual([there]);
  await remove(guest);
  expect(statSync(there).uid).toBe(uid);
});

test('a domain that is off leaves the books of the host that it leaves, there and back and there', async () => {
  const image = stack.folder.file('carried.img');
  writeFileSync(image, Buffer.alloc(1024 * 1024));
  const guest = await stack.define(bus, { name: 'carried', host: 'h1', devices: disk(image, 'raw') });
  const users = async (): Promise<string[]> => {
    const at = (target: string) => call(bus, usersOfImage, { image }, { target, timeoutMs: 30_000 });
    const both = await Promise.all(['h1', 'h2'].map(at));
    return both.flatMap((answer) => answer.users.map(({ host, name }) => `${name} at ${host}`));
  };
  await eventually(users, ['carried at h1'], patience);
  for (const to of ['h2', 'h1', 'h2']) {
    await move('carried', { to, live: false, offline: true });
    await eventually(users, [`carried at ${to}`], patience);
  }
  const left = await stack.events(bus, guest.uuid);
  expect(left.filter(({ type }) => type === 'undefined').map(({ host, detail }) => `${host} ${detail}`)).toEqual([
    'h1 removed',
    'h2 removed',
    'h1 removed',
  ]);
  const { domain } = await call(bus, getDomain, {}, { target: 'carried' });
  expect(domain).toMatchObject({ uuid: guest.uuid, host: 'h2', epoch: guest.epoch + 3 });
  await expect(stack.define(bus, { name: 'carried', host: 'h1' })).rejects.toMatchObject({ code: 'DOMAIN_EXISTS' });
  const verify = () => call(bus, verifyFleet, {}, { timeoutMs: 60_000 });
  expect((await verify()).disagreements).toEqual([]);
  await remove(guest);
  await eventually(users, [], patience);
  rmSync(image);
  expect((await verify()).disagreements).toEqual([]);
});

test('an image of a guest on its way stays its own for the fleet, also where it has been before', async () => {
  const image = stack.folder.file('own.img');
  writeFileSync(image, Buffer.alloc(1024 * 1024));
  const xml = await stack.domainXml({ name: 'own', devices: disk(image, 'raw') });
  const { domain: guest } = await call(bus, createDomain, { xml, host: 'h1' });
  const leaseSchema = z.looseObject({ path: z.string(), holder: z.looseObject({ host: z.string() }) });
  const table = await Table.open(await stack.serviceBus(), buckets.leases, leaseSchema);
  const holder = async (): Promise<string[]> =>
    (await table.entries()).filter(({ value }) => value.path === image).map(({ value }) => value.holder.host);
  for (const to of ['h2', 'h1']) {
    await move('own', { to, unsafe: true });
    await eventually(holder, [to], patience);
  }
  const migration = await sending('own', { unsafe: true });
  const before = stack.domainServices[0]!.log.text.length;
  await stack.restartDriver('h2');
  await stack.domainServices[0]!.waitFor('"heard":"restarted"', { from: before, timeoutMs: 60_000 });
  await call(bus, getJob, {}, { target: 'own' });
  await call(bus, abortMigration, {}, { target: migration.id });
  expect(await ended(migration)).toMatchObject({ state: 'cancelled', owed: [] });
  expect(await holder()).toEqual(['h1']);
  await remove(guest);
});

test('what cannot be is refused by name, before the source is touched', async () => {
  const guest = await stack.run(bus, { name: 'stays', host: 'h1' });
  const other = await stack.define(bus, { name: 'taken', host: 'h2' });
  const refused = (wish: Wish): Promise<string> => begin('stays', wish).then(String, (error: Error) => error.message);
  expect(await refused({ to: 'h1' })).toContain("lives on host 'h1' already");
  expect(await refused({ to: 'h9' })).toContain("no host named 'h9'");
  expect(await refused({ to: 'h2', driver: 'lxc' })).toContain("host 'h2' has no driver 'lxc'");
  expect(await refused({ to: 'h2', name: 'taken' })).toContain("domain 'taken' already exists");
  expect(await places(guest.uuid)).toEqual([`h1 running(booted) epoch ${guest.epoch}`]);
  await remove(guest);
  await remove(other);
});

test('a limit that is set before anything is sent holds when it is', async () => {
  const guest = await stack.run(bus, { name: 'hurried', host: 'h1', linux: true });
  const begun = await begin('hurried', { to: 'h2', bandwidth: slow });
  await hurry(begun);
  // At the first speed it would take many minutes.
  expect(await ended(begun)).toMatchObject({ state: 'completed', owed: [] });
  await remove(guest);
});

test('one that is given up leaves the guest where it is; a second one at a time is refused', async () => {
  const guest = await stack.run(bus, { name: 'aborted', host: 'h1' });
  const first = await sending('aborted');
  const second = await begin('aborted', { to: 'h2' }).then(ended, (error: Error) => error.message);
  expect(JSON.stringify(second)).toMatch(/is being migrated|migration-out/);
  await call(bus, abortMigration, {}, { target: first.id });
  expect(await ended(first)).toMatchObject({ state: 'cancelled', owed: [] });
  expect(await places(guest.uuid)).toEqual([expect.stringMatching(/^h1 running/)]);
  expect(processes(guest.uuid)).toBe(1);
  await remove(guest);
});

/** What a command says, on either stream. */
function virtbus(...words: string[]): Promise<string> {
  const program = join(__dirname, '../../../cli/dist/main.js');
  const options = { env: { ...process.env, VIRTBUS_CONTEXT: stack.context('admin') } };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...words], options, (_error, out, err) => resolve(`${out}${err}`.trim()));
  });
}

test("virsh's words: a migration is tried, waited for, listed, watched as a job and given up as one", async () => {
  const guest = await stack.run(bus, { name: 'typed', host: 'h1' });
  const wish = ['migrate', 'typed', '--live', '--persistent', '--undefinesource'];
  expect(await virtbus(...wish, '--to', 'h1', '--dry-run')).toContain("lives on host 'h1' already");
  expect(await virtbus(...wish, '--to', 'h2', '--dry-run')).toBe("Domain 'typed' can be moved to host 'h2'");
  expect(await virtbus(...wish, '--to', 'h2')).toContain("Domain 'typed' moved to host 'h2'");
  expect(await virtbus('migrations', '--all')).toMatch(/typed +h1 -> h2 +completed/);
  const completed = await virtbus('domjobinfo', 'typed', '--completed');
  expect(completed).toMatch(
    /Job type: +Completed[^]*Operation: +migration in[^]*Iteration: +\d[^]*Total downtime: +\d/,
  );
  expect(await firstPass(guest.uuid)).toBe(1);
  expect(await virtbus(...wish, '--to', 'h1', '--bandwidth', '1KiB', '--detach')).toMatch(/^Migration .* begun$/);
  await eventually(async () => /Memory remaining/.test(await virtbus('domjobinfo', 'typed')), true, patience);
  expect(await virtbus('domjobabort', 'typed')).not.toContain('error');
  await eventually(async () => /State: +cancelled/.test(await virtbus('migrate-info', 'typed')), true, patience);
  expect(await places(guest.uuid)).toEqual([expect.stringMatching(/^h2 running/)]);
  await remove(guest);
});

test('a guest on a volume that its source has made finds it the same when it is started on its target', async () => {
  const xml = `<pool type='dir'><name>shared</name><target><path>${stack.folder.file('pool')}</path></target></pool>`;
  await call(bus, createPool, { xml, build: 'new' }, { target: 'h1' });
  const volume = `<volume><name>made</name><capacity>4194304</capacity><target><format type='qcow2'/></target></volume>`;
  await call(bus, createVolume, { pool: 'shared', xml: volume }, { target: 'h1' });
  await call(bus, createPool, { xml }, { target: 'h2' });
  const devices = `<disk type='volume' device='disk'><source pool='shared' volume='made'/><target dev='vda' bus='virtio'/></disk>`;
  const guest = await stack.run(bus, { name: 'pooled', host: 'h1', devices });
  const formats = async (host: string): Promise<(string | undefined)[]> =>
    (await call(bus, showChain, { domain: guest.uuid }, { target: host })).chains.map(
      ({ chain }) => chain?.layers[0]?.format,
    );
  expect(await formats('h1')).toEqual(['qcow2']);
  await move('pooled', { to: 'h2', unsafe: true });
  await call(bus, destroyDomain, {}, { target: guest.uuid });
  await call(bus, startDomain, {}, { target: guest.uuid });
  expect(await formats('h2')).toEqual(['qcow2']);
  await remove(guest);
});

describe('whoever is killed while memory is sent, the guest runs once', () => {
  const kill = (pid: number): void => void process.kill(pid, 'SIGKILL');
  const qemuOf = (uuid: string, host: string): number =>
    stack.guestPids().find((pid) => {
      const of = (file: string): string => readFileSync(`/proc/${pid}/${file}`, 'utf8');
      return of('cmdline').includes(uuid) && of('environ').includes(`/${host}/`);
    })!;
  const parties: Record<string, (guest: DomainSummary, migration: Migration) => Promise<string>> = {
    "the source's driver": async () => {
      await stack.restartDriver('h1');
      return 'failed: h1 running';
    },
    "the target's driver": async (_guest, migration) => {
      await stack.restartDriver('h2');
      await hurry(migration);
      return 'completed: h2 running';
    },
    "the target's QEMU": async ({ uuid }) => {
      kill(qemuOf(uuid, 'h2'));
      return 'failed: h1 running';
    },
    "the source's QEMU": async ({ uuid }) => {
      kill(qemuOf(uuid, 'h1'));
      return 'failed: h1 shutoff';
    },
    'the migration service': async (_guest, migration) => {
      await stack.migrationServices[0]!.stop('SIGKILL');
      await stack.startMigrationService();
      await hurry(migration);
      return 'completed: h2 running';
    },
  };

  test.each(Object.keys(parties))('%s', async (party) => {
    const guest = await stack.run(bus, { name: 'struck', host: 'h1' });
    const migration = await sending('struck');
    const expected = await parties[party]!(guest, migration);
    const { state, reason, owed } = await ended(migration);
    const [place = '', ...others] = await places(guest.uuid);
    expect(`${state}: ${place.split('(')[0]}`).toBe(expected);
    expect([others, owed]).toEqual([[], []]);
    expect(reason).toEqual(state === 'failed' ? expect.any(String) : undefined);
    expect(processes(guest.uuid)).toBe(place.includes('running') ? 1 : 0);
    await remove(guest);
  });
});
