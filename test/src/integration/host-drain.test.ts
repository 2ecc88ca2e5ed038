/** A host is emptied: real guests move or are named with the reason that keeps them, whoever dies or comes meanwhile. */
import { writeFileSync } from 'node:fs';
import {
  abortDrain,
  defineDomain,
  destroyDomain,
  drainHost,
  getDomain,
  listHosts,
  moveEventFilter,
  setMigrationLimits,
  showDrain,
  showMigration,
  startDomain,
  suspendDomain,
  undefineDomain,
  undrainHost,
  type Drain,
  type DrainEvent,
  type MigrationEvent,
  type RequestInput,
} from '@virtbus/shared';
import { call, newId, tailMoves, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { disk } from './storage-stand';

jest.setTimeout(300_000);

/** How long a step may take on a machine that is busy beyond its means. */
const patience = { timeoutMs: 90_000 };
/** Slow enough that a guest is still being sent when something happens, bytes a second. */
const slow = 20_000;

let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  const env = { VIRTBUS_MIGRATION_ADDRESS: '127.0.0.1', VIRTBUS_MIGRATION_PATIENCE_MS: '5000' };
  stack = await Stack.start({ hosts: ['h1', 'h2', 'h3'], migrationServices: 1, env });
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const drain = async (host: string, wish: RequestInput<typeof drainHost> = {}, id = newId()): Promise<Drain> =>
  (await call(bus, drainHost, wish, { target: host, id, timeoutMs: 30_000 })).drain;
const undrain = (host: string): Promise<unknown> => call(bus, undrainHost, {}, { target: host, timeoutMs: 30_000 });
const show = async (host: string): Promise<Drain> =>
  (await call(bus, showDrain, {}, { target: host, timeoutMs: 30_000 })).drain;

async function ended(host: string): Promise<Drain> {
  await eventually(async () => (await show(host)).state !== 'running', true, patience);
  return show(host);
}

/** `name: state` of each guest, by name. */
const guests = ({ guests: all }: Drain): string[] => all.map(({ name, state }) => `${name}: ${state}`).sort();

const refusal = (work: Promise<unknown>): Promise<string> => work.then(String, (error: Error) => error.message);

async function home(name: string): Promise<string> {
  const { domain } = await call(bus, getDomain, {}, { target: name });
  return `${domain.host} ${domain.state}`;
}

async function remove(...names: string[]): Promise<void> {
  for (const target of names) {
    await call(bus, destroyDomain, {}, { target, timeoutMs: 30_000 }).catch(() => undefined);
    await call(bus, undefineDomain, {}, { target, timeoutMs: 30_000 });
  }
}

async function told(of: 'migration', filter: object): Promise<MigrationEvent[]>;
async function told(of: 'drain', filter: object): Promise<DrainEvent[]>;
async function told(of: 'migration' | 'drain', filter: object): Promise<unknown[]> {
  const found: unknown[] = [];
  const from = moveEventFilter({ entity: of, ...filter });
  for await (const { event } of tailMoves(bus, { filter: from, since: 'all', once: true })) found.push(event);
  return found;
}

test('a host is emptied of all that can go, the rest is named with its reasons, and nothing new comes', async () => {
  const image = stack.folder.file('local.img');
  writeFileSync(image, Buffer.alloc(1024 * 1024));
  const runs = await stack.run(bus, { name: 'runs', host: 'h1' });
  await stack.run(bus, { name: 'paused', host: 'h1' });
  await call(bus, suspendDomain, {}, { target: 'paused' });
  await stack.define(bus, { name: 'off', host: 'h1' });
  await stack.run(bus, { name: 'local', host: 'h1', devices: disk(image, 'raw') });
  const id = newId();
  const begun = await drain('h1', { limits: { perHost: 2, perLink: 1 } }, id);
  expect(begun).toMatchObject({ id, host: 'h1', state: 'running', limits: { perHost: 2, perLink: 1 } });
  const end = await ended('h1');
  expect(guests(end)).toEqual(['local: stays', 'off: moved', 'paused: moved', 'runs: moved']);
  expect(end).toMatchObject({ state: 'incomplete', counts: { moved: 3, stays: 1, waiting: 0, moving: 0 } });
  expect(end.guests.find(({ name }) => name === 'local')!.reasons).toEqual([
    expect.stringContaining('copy it (--copy-storage-all) or say --unsafe'),
  ]);
  expect((await stack.inventory('h1')).map(({ name }) => name)).toEqual(['local']);
  await eventually(
    () => home('runs'),
    (at) => /^h[23] running$/.test(at),
    patience,
  );
  await eventually(
    () => home('paused'),
    (at) => /^h[23] paused$/.test(at),
    patience,
  );
  await eventually(
    () => home('off'),
    (at) => /^h[23] shutoff$/.test(at),
    patience,
  );

  // A migration's story is told phase by phase, and names the drain's command as its cause.
  const story = await told('migration', { of: runs.uuid });
  const phases = ['claim', 'begin', 'prepare', 'perform', 'finish', 'handover', 'confirm', 'completed'];
  expect(story.map(({ type }) => type)).toEqual(phases);
  expect(new Set(story.map(({ commandId }) => commandId))).toEqual(new Set([id]));
  expect(story[0]).toMatchObject({ name: 'runs', source: { host: 'h1' }, domain: runs.uuid });
  const steps = await told('drain', { of: id });
  expect(steps[0]).toMatchObject({ type: 'begun', host: 'h1', commandId: id });
  expect(steps.at(-1)).toMatchObject({ type: 'ended', state: 'incomplete', counts: { moved: 3, stays: 1 } });
  const of = (type: string): string[] => steps.flatMap((one) => (one.type === type ? [one.guest!.name] : [])).sort();
  expect([of('guest-moved'), of('guest-stays')]).toEqual([['off', 'paused', 'runs'], ['local']]);

  // Also by a service that is started anew, and by name.
  await stack.domainServices[0]!.stop('SIGKILL');
  await stack.startDomainService();
  const rows = async (): Promise<string[]> =>
    (await call(bus, listHosts, {}, { timeoutMs: 30_000 })).hosts.flatMap((row) => (row.cordoned ? [row.host] : []));
  await eventually(rows, ['h1'], patience);
  const xml = await stack.domainXml({ name: 'new' });
  const named = call(bus, defineDomain, { xml, host: 'h1' }, { timeoutMs: 30_000 });
  expect(await refusal(named)).toContain('takes no new domains until it is undrained (virtbus host undrain h1)');
  expect((await call(bus, defineDomain, { xml }, { timeoutMs: 30_000 })).domain.host).toMatch(/h[23]/);
  await undrain('h1');
  await eventually(rows, [], patience);
  await remove('runs', 'paused', 'off', 'local', 'new');
});

test('an empty host is drained at once; what cannot be drained is refused by name', async () => {
  await drain('h3');
  expect(await ended('h3')).toMatchObject({ state: 'drained', guests: [], ended: expect.any(Number) });
  await undrain('h3');
  expect(await refusal(drain('h9'))).toContain("no host named 'h9'");
  expect(await refusal(undrain('h9'))).toContain("no host named 'h9'");
  expect(await refusal(show('h2'))).toContain("host 'h2' was never drained");
  expect(await refusal(call(bus, abortDrain, {}, { target: 'h3' }))).toContain("host 'h3' is not being drained");
  expect(await refusal(drain('h1', { to: ['h1'] }))).toContain("host 'h1' cannot be drained to itself");
  expect(await refusal(drain('h1', { to: ['h9'] }))).toContain("no host named 'h9'");
});

test('the guests of the last host that is open stay, with the reason of each other host', async () => {
  await stack.run(bus, { name: 'last', host: 'h1' });
  await drain('h2');
  await drain('h3');
  await drain('h1');
  const { guests: all, state } = await ended('h1');
  expect(state).toBe('incomplete');
  expect(all[0]!.reasons.join()).toMatch(/h2 \(qemu\) takes no new domains.*h3 \(qemu\) takes no new domains/);
  expect(await home('last')).toBe('h1 running');
  for (const host of ['h1', 'h2', 'h3']) await undrain(host);
  await remove('last');
});

test('a drain goes on at another copy, takes along who is started meanwhile, and ends where it is undrained', async () => {
  await stack.run(bus, { name: 'first', host: 'h1' });
  await stack.define(bus, { name: 'late', host: 'h1' });
  const moving = async (): Promise<Drain['guests']> =>
    (await show('h1')).guests.filter(({ state }) => state === 'moving');
  await drain('h1', { to: ['h2'], limits: { perLink: 1 }, bandwidth: slow });
  await eventually(async () => (await moving()).map(({ name }) => name), ['first'], patience);
  await stack.migrationServices.at(-1)!.stop('SIGKILL');
  await call(bus, startDomain, {}, { target: 'late', timeoutMs: 30_000 });
  await stack.startMigrationService();
  const [one] = await moving();
  const migration = { target: one!.migration!, timeoutMs: 20_000 };
  const sends = async (): Promise<boolean> =>
    (await call(bus, showMigration, {}, migration)).migration.progress?.memory !== undefined;
  await eventually(sends, true, patience);
  await call(bus, setMigrationLimits, { bandwidth: 1e9 }, migration);
  await eventually(async () => (await moving()).map(({ name }) => name), ['late'], patience);
  expect(await home('first')).toBe('h2 running');
  await undrain('h1');
  const end = await ended('h1');
  expect([end.state, guests(end)]).toEqual(['aborted', ['first: moved', 'late: stays']]);
  await eventually(() => home('late'), 'h1 running', patience);
  await remove('first', 'late');
});

test('guests of a host that dies while it is drained are named, and it is drained when it is back', async () => {
  await stack.run(bus, { name: 'held', host: 'h1' });
  await stack.run(bus, { name: 'waits', host: 'h1' });
  await drain('h1', { to: ['h2'], limits: { perLink: 1 }, bandwidth: slow });
  await eventually(async () => (await show('h1')).counts.moving, 1, patience);
  let end: Drain | undefined;
  await stack.restartDriver('h1', async () => void (end = await ended('h1')));
  expect(end!.state).toBe('incomplete');
  expect(end!.guests.map(({ state }) => state)).toEqual(['stays', 'stays']);
  expect(end!.guests.flatMap(({ reasons }) => reasons).join()).toContain('driver-qemu');
  await stack.hostsOnline(3);
  await drain('h1', { to: ['h2'] });
  expect(await ended('h1')).toMatchObject({ state: 'drained', counts: { moved: 2 } });
  await undrain('h1');
  await remove('held', 'waits');
});

test('a target that dies holds up neither the guests behind the one that it was to take, nor that one', async () => {
  for (const name of ['first', 'second', 'third']) await stack.run(bus, { name, host: 'h1' });
  await drain('h1', { limits: { perHost: 1 }, bandwidth: slow });
  const moving = async (): Promise<Drain['guests'][number] | undefined> =>
    (await show('h1')).guests.find(({ state }) => state === 'moving');
  const sends = async (): Promise<boolean> => {
    const migration = (await moving())?.migration;
    if (migration === undefined) return false;
    return (await call(bus, showMigration, {}, { target: migration })).migration.progress?.memory !== undefined;
  };
  await eventually(sends, true, patience);
  const { uuid, migration, target } = (await moving())!;
  const other = target === 'h2' ? 'h3' : 'h2';
  await stack.restartDriver(target!, async () => {
    for (const pid of stack.pidsOn(target!, uuid)) process.kill(pid, 'SIGKILL');
    await drain('h1', { limits: { perHost: 1 } });
    expect(guests(await ended('h1'))).toEqual(['first: moved', 'second: moved', 'third: moved']);
    for (const name of ['first', 'second', 'third']) await eventually(() => home(name), `${other} running`, patience);
    const { migration: failed } = await call(bus, showMigration, {}, { target: migration! });
    expect(failed).toMatchObject({ state: 'failed', owed: ['target'] });
  });
  await stack.hostsOnline(3);
  await undrain('h1');
  await remove('first', 'second', 'third');
});
