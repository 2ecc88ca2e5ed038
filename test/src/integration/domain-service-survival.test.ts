/** What the domain service must live through: copies killed, hosts away, the bus gone, JetStream wiped. */
import { isDeepStrictEqual } from 'node:util';
import {
  defineDomain,
  getDomain,
  handoverClaim,
  handoverCommit,
  renameDomain,
  undefineDomain,
  VirtError,
  isVirtError,
  listDomains,
  outcomeSubject,
  queueSubject,
  startDomain,
  streams,
  buckets,
  type CommandOutcome,
} from '@virtbus/shared';
import { call, callService, connectBus, decode, enqueue, newId } from '@virtbus/shared/bus';
import { Authority } from '@virtbus/shared/auth';
import { soon, Stack } from './domain-service-stack';

const xml = (name: string, rest = ''): string =>
  `<domain type='qemu'><name>${name}</name>${rest}<memory unit='MiB'>128</memory><vcpu>1</vcpu>` +
  `<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>`;

let stack: Stack;
afterEach(() => stack?.[Symbol.asyncDispose]());

const list = () => call(stack.bus, listDomains, {}, { timeoutMs: 2_000 });
const names = async () => (await list()).domains.map(({ name }) => name);

async function outcome(id: string): Promise<CommandOutcome> {
  const jsm = await stack.bus.jsm();
  return soon(async () => {
    for (const ended of ['completed', 'failed'] as const) {
      const found = await jsm.streams
        .getMessage(streams.events, { last_by_subj: outcomeSubject(id, ended) })
        .catch(() => undefined);
      if (found) return decode(found.data) as CommandOutcome;
    }
    return undefined;
  });
}

async function wipe(): Promise<void> {
  const jsm = await stack.bus.jsm();
  for (const name of [...Object.values(streams), ...Object.values(buckets).map((bucket) => `KV_${bucket}`)]) {
    await jsm.streams.delete(name);
  }
}

/** What the registry says, read with a client of its own. */
async function registered(bucket: string): Promise<string[]> {
  const kv = await stack.bus.js.views.kv(bucket, { bindOnly: true });
  const keys: string[] = [];
  for await (const key of await kv.keys()) keys.push(key);
  return keys.sort();
}

test('a copy that is stopped with SIGTERM drains and exits with 0, and the others go on', async () => {
  stack = await Stack.start({ copies: 2 });
  const calls = Array.from({ length: 50 }, (_, n) => call(stack.bus, defineDomain, { xml: xml(`d${n}`) }));
  const exit = stack.copies[0]!.stop('SIGTERM', 15_000);
  const answers = await Promise.allSettled(calls);
  expect(answers.filter(({ status }) => status === 'rejected')).toEqual([]);
  expect(await exit).toEqual({ code: 0, signal: null });
  expect((await list()).total).toBe(50);
}, 60_000);

test('a command whose copy is killed over it is given to another one, done once, and answered', async () => {
  stack = await Stack.start();
  const [host] = stack.hosts;
  await call(stack.bus, defineDomain, { xml: xml('carried') });
  let open = (): void => undefined;
  host!.gate = new Promise((resolve) => (open = resolve));
  const id = newId();
  const started = call(stack.bus, startDomain, {}, { target: 'carried', id, timeoutMs: 25_000 });
  started.catch(() => undefined);
  await soon(() => host!.heard.includes(id));
  await stack.addCopy();
  await stack.copies[0]!.stop('SIGKILL');
  open();
  expect(await started).toMatchObject({ domain: { state: 'running' } });
  expect(host!.applied.filter((one) => one.id === id)).toHaveLength(1);
}, 60_000);

test('a copy without a bus waits for it', async () => {
  stack = await Stack.start({ copies: 0, hosts: [] });
  await stack.server.stop();
  const copy = await stack.addCopy({ wait: false });
  await copy.waitFor('NATS cannot be reached; trying again');
  await stack.server.restart();
  await copy.waitFor('domain service ready');
  expect(await copy.stop('SIGINT')).toEqual({ code: 0, signal: null });
}, 60_000);

test('a copy whose credentials are refused says so in one line and exits with 1', async () => {
  stack = await Stack.start({ copies: 0, hosts: [] });
  const stranger = await Authority.create().add({ name: 'stranger', role: 'service' });
  stack.users.writeOne(stranger, stack.server.url);
  const copy = await stack.addCopy({ user: 'stranger', wait: false });
  expect((await copy.exited).code).toBe(1);
  const lines = copy.log.text.trim().split('\n');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toMatchObject({
    level: 'fatal',
    reason: expect.stringContaining('refuses the credentials') as string,
  });
}, 60_000);

test('a claim whose maker died gives its name back after its time, unless the host has the domain', async () => {
  stack = await Stack.start();
  const [past, future] = [Date.now() - 1_000, Date.now() + 60_000];
  const domains = await stack.bus.js.views.kv(buckets.domains, { bindOnly: true });
  const claimed = await stack.bus.js.views.kv(buckets.names, { bindOnly: true });
  const leave = async (name: string, uuid: string, until: number): Promise<void> => {
    const pending = { commandId: 'dead', until };
    await domains.put(uuid, JSON.stringify({ uuid, name, host: 'h1', driver: 'test', epoch: 1, pending }));
    await claimed.put(name, JSON.stringify({ uuid, until }));
  };
  await leave('ghost', '11111111-1111-4111-8111-111111111111', past);
  await leave('working', '22222222-2222-4222-8222-222222222222', future);
  expect((await call(stack.bus, defineDomain, { xml: xml('ghost') })).domain.name).toBe('ghost');
  await expect(call(stack.bus, defineDomain, { xml: xml('working') })).rejects.toThrow('already exists with uuid 2222');
  expect(await names()).toEqual(['ghost']);
}, 60_000);

test('a restarted service knows the domains of hosts that are away, by their last event', async () => {
  stack = await Stack.start({ hosts: ['h1', 'h2'] });
  await call(stack.bus, defineDomain, { xml: xml('here'), host: 'h1' });
  await call(stack.bus, defineDomain, { xml: xml('away'), host: 'h2' });
  await call(stack.bus, startDomain, {}, { target: 'away' });
  await soon(() => stack.hosts[1]!.status.journal === 0);
  await stack.hosts[1]!.stop();
  await stack.copies[0]!.stop('SIGKILL');
  await stack.addCopy();
  expect(await names()).toEqual(['away', 'here']);
  const { domain, online } = await call(stack.bus, getDomain, {}, { target: 'away' });
  expect({ online, state: domain.state, host: domain.host }).toEqual({ online: false, state: 'running', host: 'h2' });
  expect((await list()).offline).toEqual(['h2']);
  const refused = await call(stack.bus, startDomain, {}, { target: 'away' }).catch((error: unknown) => error);
  expect(isVirtError(refused, 'HOST_OFFLINE')).toBe(true);
}, 60_000);

test('a wiped JetStream is filled again from the hosts and from what is known of those that are away', async () => {
  stack = await Stack.start({ copies: 2, hosts: ['h1', 'h2'] });
  for (let n = 0; n < 20; n++) await call(stack.bus, defineDomain, { xml: xml(`d${n}`), host: n % 2 ? 'h1' : 'h2' });
  const before = await registered(buckets.domains);
  await stack.hosts[1]!.stop();
  await wipe();
  await expect(call(stack.bus, defineDomain, { xml: xml('d5') })).rejects.toThrow('already exists');
  await soon(async () => {
    const [domains, claimed] = [await registered(buckets.domains), await registered(buckets.names)];
    return domains.length === 20 && claimed.length === 20 && domains;
  });
  expect(await registered(buckets.domains)).toEqual(before);
  expect((await list()).total).toBe(20);
  await call(stack.bus, startDomain, {}, { target: 'd1' });
  // Every copy follows the new log, whose sequences begin anew.
  await soon(async () => {
    const { asOf, domains } = await list();
    return asOf > 0 && asOf < 20 && domains.some(({ name, state }) => name === 'd1' && state === 'running');
  });
  await expect(call(stack.bus, defineDomain, { xml: xml('d3') })).rejects.toThrow('already exists');
}, 60_000);

test('the bus comes back with an empty store after an outage, and nothing is lost', async () => {
  stack = await Stack.start({ copies: 2 });
  const { domain } = await call(stack.bus, defineDomain, { xml: xml('outlives') });
  await stack.server.kill9();
  stack.hosts[0]!.happen(domain.uuid, { state: 'running', reason: 'booted', id: 7 }, 'started', 'booted');
  await stack.copies[0]!.waitFor('disconnected from NATS');
  await stack.server.wipe();
  await stack.server.restart();
  await soon(async () => {
    const { domain: now, asOf } = await call(stack.bus, getDomain, {}, { target: 'outlives', timeoutMs: 1_000 });
    return now.state === 'running' && asOf > 0;
  });
  await soon(async () => (await registered(buckets.names)).includes('outlives'));
  await call(stack.bus, defineDomain, { xml: xml('afterwards') });
  expect(await names()).toEqual(['afterwards', 'outlives']);
}, 60_000);

test('the bus comes back after an outage with all it had, and what happened meanwhile is heard once', async () => {
  stack = await Stack.start({ copies: 2 });
  const { domain } = await call(stack.bus, defineDomain, { xml: xml('steady') });
  const { asOf } = await soon(async () => {
    const answer = await list();
    return answer.asOf === 1 && answer;
  });
  await stack.server.kill9();
  stack.hosts[0]!.happen(domain.uuid, { state: 'running', reason: 'booted', id: 7 }, 'started', 'booted');
  await stack.copies[0]!.waitFor('disconnected from NATS');
  await stack.copies[0]!.waitFor(/ECONNREFUSED.*no connection to NATS; trying again/);
  await stack.server.restart();
  await soon(async () => {
    const now = await call(stack.bus, getDomain, {}, { target: 'steady', timeoutMs: 1_000 });
    return now.domain.state === 'running' && now.online && now.asOf === asOf + 1;
  });
  expect(stack.copies[0]!.log.text).not.toContain('JetStream was wiped');
}, 60_000);

test('a domain that a host always had is taken in, and its name is taken', async () => {
  stack = await Stack.start();
  const uuid = '8a9d7f3c-40b6-4f5e-8a30-8f1c5b2f9d01';
  stack.hosts[0]!.plant({ uuid, name: 'planted', state: 'running', reason: 'booted' });
  await soon(async () => (await names()).includes('planted'));
  await soon(async () => (await registered(buckets.names)).includes('planted'));
  await expect(call(stack.bus, defineDomain, { xml: xml('planted') })).rejects.toThrow(
    `already exists with uuid ${uuid}`,
  );
}, 60_000);

test('of two hosts that claim one domain the first keeps it under the same epoch, the higher epoch wins', async () => {
  stack = await Stack.start({ hosts: ['h1', 'h2', 'h3'] });
  const { domain } = await call(stack.bus, defineDomain, { xml: xml('torn'), host: 'h1' });
  stack.hosts[1]!.plant({ uuid: domain.uuid, name: 'torn', epoch: 1, revision: 9 });
  await stack.copies[0]!.waitFor('two hosts claim the same domain');
  expect((await call(stack.bus, getDomain, {}, { target: 'torn' })).domain.host).toBe('h1');
  stack.hosts[2]!.plant({ uuid: domain.uuid, name: 'torn', epoch: 2 });
  await soon(async () => (await call(stack.bus, getDomain, {}, { target: 'torn' })).domain.host === 'h3');
  expect(stack.hosts[0]!.domains.has(domain.uuid)).toBe(true);
}, 60_000);

test.each(['before', 'after'])(
  'the name stays with a domain that has moved when its source tells %s its target',
  async (order) => {
    stack = await Stack.start({ hosts: ['h1', 'h2'] });
    const [h1, h2] = stack.hosts;
    const { domain } = await call(stack.bus, defineDomain, { xml: xml('moved'), host: 'h1' });
    const { uuid, epoch } = domain;
    const moving = { id: newId(), domain: uuid, to: { host: 'h2', driver: 'test' }, name: 'moved' };
    const from = { host: 'h1', driver: 'test', epoch };
    const service = await connectBus({ name: 'mover', context: stack.context('service') });
    const promised = await callService(service, 'domain', handoverClaim, { ...moving, from });
    await callService(service, 'domain', handoverCommit, { ...moving, epoch: promised.epoch });
    await service.close();
    const where = () =>
      call(stack.bus, getDomain, {}, { target: 'moved' }).then(
        (answer) => answer.domain.host,
        () => 'nowhere',
      );
    const told = [
      () => h1!.happen(uuid, { persistent: false, state: 'shutoff' }, 'undefined', 'removed'),
      () => h2!.plant({ ...domain, host: 'h2', epoch: promised.epoch, persistent: true }),
    ];
    for (const tell of order === 'before' ? told : told.reverse()) {
      tell();
      await call(stack.bus, defineDomain, { xml: xml(newId()), host: 'h1' });
    }
    await soon(async () => (await where()) === 'h2');
    // Events come in order: what was told before this one has been heard.
    const { domain: last } = await call(stack.bus, defineDomain, { xml: xml('last'), host: 'h1' });
    h1!.happen(last.uuid, { state: 'running' }, 'started', 'booted');
    await soon(async () => (await list()).domains.find(({ uuid: one }) => one === last.uuid)?.state === 'running');
    expect(await where()).toBe('h2');
    expect(await registered(buckets.names)).toContain('moved');
    await expect(call(stack.bus, defineDomain, { xml: xml('moved') })).rejects.toThrow(
      `already exists with uuid ${uuid}`,
    );
  },
  60_000,
);

test('a queued command waits for its host, is applied once, and its outcome is told once', async () => {
  stack = await Stack.start({ copies: 2 });
  await call(stack.bus, defineDomain, { xml: xml('later') });
  const id = newId();
  await stack.copies[0]!.stop('SIGKILL');
  await stack.copies[1]!.stop('SIGKILL');
  await enqueue(stack.bus, startDomain, {}, { target: 'later', id });
  expect((await enqueue(stack.bus, startDomain, {}, { target: 'later', id })).duplicate).toBe(true);
  await stack.server.kill9();
  await stack.server.restart();
  await Promise.all([stack.addCopy(), stack.addCopy()]);
  const told = await outcome(id);
  expect(told).toMatchObject({ commandId: id, operation: 'domain.start', domain: 'later' });
  expect(told.response).toMatchObject({ domain: { state: 'running' } });
  expect(stack.hosts[0]!.applied.filter((one) => one.id === id)).toHaveLength(1);
  const jsm = await stack.bus.jsm();
  await soon(async () => (await jsm.streams.info(streams.queue)).state.messages === 0);
}, 60_000);

test('a queued command for a host that is away is applied when the host is there', async () => {
  stack = await Stack.start();
  const { domain } = await call(stack.bus, defineDomain, { xml: xml('patient') });
  const summary = { ...domain };
  await stack.hosts[0]!.stop();
  const id = newId();
  await enqueue(stack.bus, startDomain, {}, { target: 'patient', id });
  await stack.copies[0]!.waitFor('queued command waits');
  const back = await stack.addHost('h1');
  back.plant(summary);
  expect(await outcome(id)).toMatchObject({ response: { domain: { state: 'running' } } });
}, 60_000);

test('queued commands for a host that is away keep none for another one waiting, however many they are', async () => {
  stack = await Stack.start({ hosts: ['h1', 'h2'] });
  await call(stack.bus, defineDomain, { xml: xml('patient'), host: 'h1' });
  await call(stack.bus, defineDomain, { xml: xml('prompt'), host: 'h2' });
  await stack.hosts[0]!.stop();
  const waiting = Array.from({ length: 1_100 }, () => enqueue(stack.bus, startDomain, {}, { target: 'patient' }));
  await Promise.all(waiting);
  // Each has been given to a copy once.
  const jsm = await stack.bus.jsm();
  const given = async () => (await jsm.consumers.info(streams.queue, 'domain')).delivered.stream_seq;
  await soon(async () => (await given()) >= 1_000);
  const id = newId();
  await enqueue(stack.bus, startDomain, {}, { target: 'prompt', id });
  expect(await outcome(id)).toMatchObject({ response: { domain: { state: 'running' } } });
}, 90_000);

test('a queued command that can never be done ends as failed', async () => {
  stack = await Stack.start();
  const id = newId();
  await enqueue(stack.bus, startDomain, {}, { target: 'nobody', id });
  expect(await outcome(id)).toMatchObject({ error: { code: 'DOMAIN_NOT_FOUND' } });
  const odd = newId();
  const { nc } = stack.bus;
  await stack.bus.js.publish(queueSubject(startDomain, 'x').replace(/start$/, 'frobnicate'), '{}', { msgID: odd });
  expect(await outcome(odd)).toMatchObject({ error: { code: 'INVALID_ARG' } });
  expect(nc.isClosed()).toBe(false);
}, 60_000);

test('whatever copies are killed amid definitions, renames and undefinitions, hosts, registry and lists agree in the end', async () => {
  stack = await Stack.start({ copies: 3, hosts: ['h1', 'h2'] });
  const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)]!;
  const pool = Array.from({ length: 12 }, (_, n) => `n${n}`);
  const some = async (): Promise<void> => {
    const [name, other] = [pick(pool), pick(pool)];
    const target = { target: name, timeoutMs: 2_000 };
    const act = pick([
      () => call(stack.bus, defineDomain, { xml: xml(name) }, { timeoutMs: 2_000 }),
      () => call(stack.bus, undefineDomain, {}, target),
      () => call(stack.bus, renameDomain, { name: other }, target),
    ]);
    // Refusals are part of it: the name is taken, the domain is not there, the copy was killed.
    await act().catch((error: unknown) => {
      expect(error).toBeInstanceOf(VirtError);
      expect((error as VirtError).code).not.toBe('INTERNAL_ERROR');
    });
  };
  const worker = async (): Promise<void> => {
    for (let n = 0; n < 40; n++) await some();
  };
  const workers = Array.from({ length: 6 }, worker);
  for (let n = 0; n < 2; n++) {
    await new Promise((done) => setTimeout(done, 300));
    await stack.copies[n]!.stop('SIGKILL');
    await stack.addCopy();
  }
  await Promise.all(workers);

  const living = () => stack.hosts.flatMap((host) => [...host.domains.values()]);
  const identities = (domains: { uuid: string; name: string; host: string }[]) =>
    domains.map(({ uuid, name, host }) => `${name} ${uuid} ${host}`).sort();
  expect(new Set(living().map(({ uuid }) => uuid)).size).toBe(living().length);
  expect(new Set(living().map(({ name }) => name)).size).toBe(living().length);
  for (let copy = 0; copy < 9; copy++) {
    await soon(async () => isDeepStrictEqual(identities((await list()).domains), identities(living())));
  }
  // Every name that is free can be had, whoever died holding a claim on it.
  const knowsAll = async (bucket: string, key: 'uuid' | 'name'): Promise<boolean> => {
    const known = new Set(await registered(bucket));
    return living().every((domain) => known.has(domain[key]));
  };
  await soon(() => knowsAll(buckets.domains, 'uuid'));
  await soon(() => knowsAll(buckets.names, 'name'));
}, 180_000);
