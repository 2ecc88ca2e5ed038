/** The migration service over a real bus: hosts that keep to the rules, copies of the service that die, hosts that are away. */
import {
  abortMigration,
  buckets,
  checkMigration,
  destroyDomain,
  drainHost,
  forgetHost,
  getDomain,
  listMigrations,
  migrateDomain,
  moveEventFilter,
  setMigrationLimits,
  showDrain,
  startPostcopy,
  showMigration,
  streams,
  VirtError,
  type RequestInput,
  type Migration,
} from '@virtbus/shared';
import { call, connectBus } from '@virtbus/shared/bus';
import { eventually, startService, type TestProcess } from '@virtbus/testkit';
import { soon, Stack } from './domain-service-stack';
import type { SimulatedHost } from './domain-service-host';
import { MigratingHost } from './migrating-host';

const uuid = '11111111-1111-4111-8111-111111111111';

class Stand implements AsyncDisposable {
  readonly copies: TestProcess[] = [];

  private constructor(
    readonly stack: Stack,
    readonly h1: MigratingHost,
    readonly h2: MigratingHost,
    readonly hosts: readonly [SimulatedHost, SimulatedHost],
  ) {}

  static async start(copies = 1): Promise<Stand> {
    const stack = await Stack.start({ hosts: [] });
    const uuidOf = (number: number): string => `00000000-0000-4000-8000-00000000000${number}`;
    const host = (number: number) => stack.addHost(`h${number}`, { hostUuid: uuidOf(number), facets: ['migration'] });
    const hosts = [await host(1), await host(2)] as const;
    hosts[0].plant({ uuid, name: 'web1', state: 'running', reason: 'booted', id: 1 });
    const stand = new Stand(stack, await MigratingHost.at(hosts[0]), await MigratingHost.at(hosts[1]), hosts);
    for (let n = 0; n < copies; n++) await stand.addCopy();
    await soon(() => call(stack.bus, getDomain, {}, { target: 'web1' }).catch(() => undefined));
    return stand;
  }

  async addCopy(): Promise<TestProcess> {
    const env = {
      VIRTBUS_CONTEXT: this.stack.context('service'),
      VIRTBUS_LOG_LEVEL: 'debug',
      VIRTBUS_MIGRATION_PATIENCE_MS: '2000',
    };
    const copy = await startService('migration', { env });
    this.copies.push(copy);
    await copy.waitFor('migration service ready');
    return copy;
  }

  migrate(id: string, more: object = {}): Promise<Migration> {
    const request = { to: 'h2', live: true, wait: true, ...more };
    return call(this.stack.bus, migrateDomain, request, { target: 'web1', id, timeoutMs: 30_000 }).then(
      ({ migration }) => migration,
    );
  }

  async show(id: string): Promise<Migration> {
    return (await call(this.stack.bus, showMigration, {}, { target: id })).migration;
  }

  /** Once nobody is owed anything. */
  closed(id: string): Promise<Migration> {
    return soon(async () => {
      const migration = await this.show(id).catch(() => undefined);
      return migration?.step === 'done' && migration;
    });
  }

  async home(): Promise<string> {
    const { domain } = await call(this.stack.bus, getDomain, {}, { target: uuid });
    return `${domain.host} ${domain.state} epoch ${domain.epoch}`;
  }

  /** How many of the hosts run the guest. */
  running(): number {
    return this.hosts.filter(({ domains }) => domains.get(uuid)?.state === 'running').length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of [this.h1, this.h2]) host.release();
    await Promise.all(this.copies.map((copy) => copy.stop('SIGKILL')));
    await this.stack[Symbol.asyncDispose]();
  }
}

test('a guest moves in five phases, and lives on the target under a new epoch', async () => {
  await using stand = await Stand.start();
  expect(await stand.migrate('m1')).toMatchObject({ id: 'm1', state: 'completed', name: 'web1', owed: [] });
  expect(stand.h1.calls).toEqual(['begin', 'perform', 'confirm']);
  expect(stand.h2.calls).toEqual(['prepare', 'finish']);
  expect(await soon(async () => (await stand.home()) === 'h2 running epoch 2')).toBe(true);
  expect(stand.running()).toBe(1);
  // The same command again is the same migration.
  expect(await stand.migrate('m1')).toMatchObject({ state: 'completed' });
  expect(stand.h1.calls).toHaveLength(3);
  const { migrations } = await call(stand.stack.bus, listMigrations, { domain: 'web1' });
  expect(migrations.map(({ id, state }) => [id, state])).toEqual([['m1', 'completed']]);
  // Its home has changed for commands, too.
  const { domain } = await call(stand.stack.bus, destroyDomain, {}, { target: 'web1' });
  expect(domain).toMatchObject({ host: 'h2', state: 'shutoff' });
}, 60_000);

test('how a migration has ended is in the log before it is closed, whereupon nobody drives it any more', async () => {
  await using stand = await Stand.start();
  await stand.migrate('m1');
  await stand.closed('m1');
  const bus = await connectBus({ name: 'test', context: stand.stack.context('service') });
  const jsm = await bus.jsm();
  const storedAt = async (stream: string, subject: string): Promise<string> =>
    (await jsm.streams.getMessage(stream, { last_by_subj: subject })).timestamp;
  const told = await storedAt(streams.events, moveEventFilter({ entity: 'migration', of: uuid, type: 'completed' }));
  const closed = await storedAt(`KV_${buckets.migrations}`, `$KV.${buckets.migrations}.>`);
  expect(told < closed).toBe(true);
  await bus.close();
}, 60_000);

test('what keeps a guest from moving is told all at once, and nothing is touched', async () => {
  await using stand = await Stand.start();
  stand.h1.reasons = [{ where: 'source', code: 'OPERATION_INVALID', message: 'domain has active block job' }];
  stand.h2.reasons = [{ where: 'target', code: 'CPU_INCOMPATIBLE', message: 'no such CPU' }];
  const check = async (request: RequestInput<typeof checkMigration>): Promise<string[]> =>
    (await call(stand.stack.bus, checkMigration, request, { target: 'web1' })).reasons.map(({ message }) => message);
  expect(await check({ to: 'h2' })).toEqual(['domain has active block job', 'no such CPU']);
  await expect(stand.migrate('m1')).rejects.toThrow('source: domain has active block job; target: no such CPU');
  expect(await check({ to: 'h9', postcopy: true, offline: true })).toEqual([
    expect.stringContaining('post-copy migration is not supported with non-live'),
    expect.stringContaining('domain is running'),
    expect.stringContaining("no host named 'h9'"),
  ]);
  const timeout = { afterMs: 500, action: 'postcopy' } as const;
  expect(await check({ to: 'h2', live: true, timeout })).toContainEqual(expect.stringContaining('--timeout-postcopy'));
  expect(await check({ to: 'h1' })).toEqual([expect.stringContaining("lives on host 'h1' already")]);
  const small = { hostUuid: '00000000-0000-4000-8000-000000000003', facets: ['migration'], freeMemoryKiB: 16 };
  await MigratingHost.at(await stand.stack.addHost('h3', small));
  const full = /no suitable host: host 'h3' has 16 KiB of memory free; the guest has \d+ KiB$/;
  expect(await soon(async () => (await check({ to: 'h3' })).some((message) => full.test(message)))).toBe(true);
  expect(stand.h1.calls).toEqual([]);
}, 60_000);

test('a target that refuses the guest leaves it where it was, and it can be moved later', async () => {
  await using stand = await Stand.start();
  stand.h2.refuses.set('prepare', new VirtError('OPERATION_FAILED', { detail: 'no port is free' }));
  expect(await stand.migrate('m1')).toMatchObject({ state: 'failed', reason: 'operation failed: no port is free' });
  expect(await stand.closed('m1')).toMatchObject({ owed: [] });
  expect(await stand.home()).toBe('h1 running epoch 1');
  stand.h2.refuses.clear();
  expect(await stand.migrate('m2')).toMatchObject({ state: 'completed' });
  // What was promised to the first was not given again.
  expect(await soon(async () => (await stand.home()) === 'h2 running epoch 3')).toBe(true);
}, 60_000);

test('one that is steered, then given up while the guest is sent ends as cancelled', async () => {
  await using stand = await Stand.start(2);
  stand.h1.hold('perform');
  await stand.migrate('m1', { wait: false });
  await soon(() => stand.h1.calls.includes('perform'));
  const limits = { bandwidth: 104_857_600 };
  await call(stand.stack.bus, setMigrationLimits, limits, { target: 'web1' });
  await expect(call(stand.stack.bus, startPostcopy, {}, { target: 'web1' })).rejects.toThrow('--postcopy');
  expect(stand.h1.calls).not.toContain('postcopy');
  expect(await stand.show('m1')).toMatchObject({ state: 'running', limits });
  await call(stand.stack.bus, abortMigration, {}, { target: 'web1' });
  expect(await stand.closed('m1')).toMatchObject({ state: 'cancelled', reason: 'it was given up' });
  expect([stand.h1.views.get('m1')?.phase, stand.h2.views.get('m1')?.phase]).toEqual(['undone', 'undone']);
  expect(await stand.home()).toBe('h1 running epoch 1');
  await expect(call(stand.stack.bus, abortMigration, {}, { target: 'm1' })).rejects.toThrow('has ended: cancelled');
}, 60_000);

test('how far it is every copy of the service knows, whichever of them drives it, and a source that hangs holds up no answer', async () => {
  await using stand = await Stand.start(2);
  stand.h1.hold('perform');
  await stand.migrate('m1', { wait: false });
  const shown = async (): Promise<boolean> => (await stand.show('m1')).progress !== undefined;
  await soon(shown);
  // Either copy may answer.
  for (let n = 0; n < 12; n++) expect(await shown()).toBe(true);
  stand.h1.hangs = true;
  for (let n = 0; n < 4; n++) expect(await stand.show('m1')).toMatchObject({ state: 'running' });
  stand.h1.hangs = false;
}, 60_000);

test('of a domain the migration under way is meant, also after a second one was refused because of it', async () => {
  await using stand = await Stand.start();
  stand.h1.hold('perform');
  await stand.migrate('m1', { wait: false });
  await soon(() => stand.h1.calls.includes('perform'));
  expect(await stand.migrate('m2')).toMatchObject({ id: 'm2', state: 'failed' });
  expect(await stand.show('web1')).toMatchObject({ id: 'm1', state: 'running' });
  const limits = { bandwidth: 104_857_600 };
  await call(stand.stack.bus, setMigrationLimits, limits, { target: 'web1' });
  await expect(call(stand.stack.bus, startPostcopy, {}, { target: 'web1' })).rejects.toThrow('--postcopy');
  expect(stand.h1.calls).not.toContain('postcopy');
  await call(stand.stack.bus, abortMigration, {}, { target: 'web1' });
  expect(await stand.closed('m1')).toMatchObject({ state: 'cancelled', limits });
  // When none is, the latest is.
  expect(await stand.show('web1')).toMatchObject({ id: 'm2' });
}, 60_000);

test('a transfer that takes too long is switched to post-copy as soon as its source can', async () => {
  await using stand = await Stand.start();
  const timeout = { afterMs: 500, action: 'postcopy' } as const;
  await expect(stand.migrate('m1', { timeout })).rejects.toThrow('--timeout-postcopy needs a migration that allows');
  expect(stand.h1.calls).toEqual([]);
  stand.h1.hold('perform');
  stand.h1.refuses.set('postcopy', new VirtError('OPERATION_INVALID', { detail: 'disks are still copied' }));
  await stand.migrate('m2', { wait: false, postcopy: true, timeout });
  const asked = (): number => stand.h1.calls.filter((step) => step === 'postcopy').length;
  await soon(() => asked() >= 2);
  stand.h1.refuses.clear();
  const before = asked();
  await soon(() => asked() > before);
  // Once it took it is not asked for again.
  const { looks } = stand.h1;
  await soon(() => stand.h1.looks >= looks + 3);
  expect(asked()).toBe(before + 1);
  stand.h1.release();
  expect(await stand.closed('m2')).toMatchObject({ state: 'completed' });
}, 60_000);

test('the time of a transfer counts from its beginning, however often it is steered and whoever drives it', async () => {
  await using stand = await Stand.start();
  stand.h1.hold('perform');
  await stand.migrate('m1', { wait: false, timeout: { afterMs: 6_000, action: 'abort' } });
  await soon(() => stand.h1.calls.includes('perform'));
  await stand.copies[0]!.stop('SIGKILL');
  await stand.addCopy();
  const steered = async (): Promise<boolean> =>
    call(stand.stack.bus, setMigrationLimits, { bandwidth: 104_857_600 }, { target: 'm1' }).then(
      () => true,
      () => false,
    );
  await eventually(steered, false, { intervalMs: 1_500 });
  const late = 'it took longer than 6000 ms';
  expect(await stand.closed('m1')).toMatchObject({ state: 'failed', reason: expect.stringContaining(late) as string });
  expect(await stand.home()).toBe('h1 running epoch 1');
}, 90_000);

test.each(['perform', 'finish'] as const)(
  'a service that is killed during %s is followed by another copy, and the guest runs once',
  async (step) => {
    await using stand = await Stand.start();
    const host = step === 'prepare' || step === 'finish' ? stand.h2 : stand.h1;
    host.hold(step);
    await stand.migrate('m1', { wait: false });
    await soon(() => host.calls.includes(step));
    await stand.copies[0]!.stop('SIGKILL');
    host.release();
    await stand.addCopy();
    expect(await stand.closed('m1')).toMatchObject({ state: 'completed' });
    expect(stand.running()).toBe(1);
    expect(await soon(async () => (await stand.home()) === 'h2 running epoch 2')).toBe(true);
  },
  60_000,
);

test('a journal that is wiped while the guest is sent changes nothing for the guest', async () => {
  await using stand = await Stand.start();
  stand.h1.hold('perform');
  await stand.migrate('m1', { wait: false });
  await soon(() => stand.h1.calls.includes('perform'));
  await (await stand.stack.bus.jsm()).streams.delete(`KV_${buckets.migrations}`);
  stand.h1.release();
  expect(await stand.closed('m1')).toMatchObject({ state: 'completed' });
  expect(stand.running()).toBe(1);
}, 60_000);

test('a journal that is wiped while no copy of the service runs is made again from what the hosts know', async () => {
  await using stand = await Stand.start();
  stand.h2.hold('finish');
  await stand.migrate('m1', { wait: false });
  await soon(() => stand.h2.calls.includes('finish'));
  await stand.copies[0]!.stop('SIGKILL');
  await (await stand.stack.bus.jsm()).streams.delete(`KV_${buckets.migrations}`);
  stand.h2.release();
  await stand.addCopy();
  expect(await stand.closed('m1')).toMatchObject({ state: 'completed', name: 'web1', owed: [] });
  expect(stand.running()).toBe(1);
  expect(await soon(async () => (await stand.home()) === 'h2 running epoch 2')).toBe(true);
}, 60_000);

test('a target that is away before the guest is sent is waited for as long as patience lasts', async () => {
  await using stand = await Stand.start();
  stand.h2.hold('prepare');
  await stand.migrate('m1', { wait: false });
  await soon(() => stand.h2.calls.includes('prepare'));
  await stand.hosts[1].stop();
  const ended = await soon(async () => {
    const migration = await stand.show('m1');
    return migration.state !== 'running' && migration;
  });
  expect(ended).toMatchObject({ state: 'failed', reason: 'target was away for more than 2000 ms', owed: ['target'] });
  expect(await stand.home()).toBe('h1 running epoch 1');
  expect(stand.h1.views.get('m1')?.phase).toBe('undone');
}, 60_000);

test('a host that is owed the end and was forgotten is asked no more, and told when it is back, also by another copy', async () => {
  await using stand = await Stand.start();
  const { bus } = stand.stack;
  stand.h2.hold('prepare');
  await stand.migrate('m1', { wait: false });
  await soon(() => stand.h2.calls.includes('prepare'));
  await stand.hosts[1].stop();
  await soon(async () => (await stand.show('m1')).owed.includes('target'));
  await soon(() =>
    call(bus, forgetHost, {}, { target: 'h2' }).then(
      () => true,
      () => false,
    ),
  );
  const failed = { state: 'failed', owed: ['target'], step: 'done' };
  const reason = "target was away for more than 2000 ms; the fleet does not know host 'h2' any more";
  expect(await stand.closed('m1')).toMatchObject({ ...failed, reason: expect.stringContaining(reason) as string });
  await stand.copies[0]!.stop('SIGKILL');
  await stand.addCopy();
  expect(await stand.show('m1')).toMatchObject(failed);
  const back = await stand.stack.addHost('h2', {
    hostUuid: '00000000-0000-4000-8000-000000000002',
    facets: ['migration'],
  });
  const target = await MigratingHost.at(back);
  const told = await soon(async () => {
    const migration = await stand.show('m1');
    return migration.owed.length === 0 && migration;
  });
  expect(told).toMatchObject({ state: 'failed', step: 'done', reason: 'target was away for more than 2000 ms' });
  expect(target.views.get('m1')?.phase).toBe('undone');
}, 120_000);

test('a host of which a driver does not answer is not drained: the guests that it is known to have are named', async () => {
  await using stand = await Stand.start();
  const { bus } = stand.stack;
  const away = await stand.stack.addHost('h1', { hostUuid: '00000000-0000-4000-8000-000000000001', driver: 'lxc' });
  const box = '22222222-2222-4222-8222-222222222222';
  away.plant({ uuid: box, name: 'box1', driver: 'lxc', state: 'running', reason: 'booted', id: 2 });
  await soon(() => call(bus, getDomain, {}, { target: 'box1' }).catch(() => undefined));
  await away.stop();
  await call(bus, drainHost, {}, { target: 'h1', timeoutMs: 30_000 });
  const drain = await soon(async () => {
    const { drain: now } = await call(bus, showDrain, {}, { target: 'h1', timeoutMs: 30_000 });
    return now.state !== 'running' && now;
  });
  const offline = expect.stringContaining("nobody answers for driver-lxc on host 'h1'") as string;
  expect(drain).toMatchObject({ state: 'incomplete', counts: { moved: 1, stays: 1 }, reasons: [offline] });
  expect(drain.guests.find(({ name }) => name === 'box1')).toMatchObject({ state: 'stays', reasons: [offline] });
}, 60_000);

test('nobody but our services may speak to the hosts of a migration', async () => {
  await using stand = await Stand.start();
  const silence = stand.stack.bus.nc.request('virtbus.v1.service.domain.handover-commit', undefined, {
    timeout: 1_000,
  });
  await expect(silence).rejects.toThrow();
}, 60_000);
