/** The domain service over a real bus, with hosts that only keep a table: names, placement, fan-out, repeated commands. */
import {
  createDomain,
  defineDomain,
  destroyDomain,
  forgetHost,
  getDomain,
  getDomainXml,
  hostCapabilities,
  isVirtError,
  listDomains,
  listHosts,
  renameDomain,
  restoreDomain,
  startDomain,
  statsOfDomains,
  undefineDomain,
  VirtError,
} from '@virtbus/shared';
import { call, newId } from '@virtbus/shared/bus';
import { eventually } from '@virtbus/testkit';
import { soon, Stack } from './domain-service-stack';

const xml = (name: string, rest = ''): string =>
  `<domain type='qemu'><name>${name}</name>${rest}<memory unit='MiB'>128</memory><vcpu>1</vcpu>` +
  `<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>`;

const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (isVirtError(error) ? error.code : String(error)),
  );

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ copies: 3, hosts: ['h1', 'h2'] });
}, 60_000);
afterAll(() => stack?.[Symbol.asyncDispose]());

const names = async (): Promise<string[]> => (await call(stack.bus, listDomains, {})).domains.map(({ name }) => name);
const allApplied = () => stack.hosts.flatMap((host) => host.applied);

test('hosts are listed with what their heartbeats tell', async () => {
  // Any copy may be asked, and each hears of a host in its own time.
  const { hosts } = await soon(async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, () => call(stack.bus, listHosts, {})));
    return answers.every((answer) => answer.hosts.length === 2) && answers[0];
  });
  expect(hosts.map(({ host, online }) => ({ host, online }))).toEqual([
    { host: 'h1', online: true },
    { host: 'h2', online: true },
  ]);
  const { xml: document } = await call(stack.bus, hostCapabilities, {}, { target: 'h2' });
  expect(document).toBe("<capabilities host='h2'/>");
  expect(await code(call(stack.bus, hostCapabilities, {}, { target: 'nowhere' }))).toBe('HOST_NOT_FOUND');
});

test('a domain lives from define to undefine, and each answer shows in the next list through any copy', async () => {
  for (let round = 0; round < 10; round++) {
    const name = `life${round}`;
    const { domain } = await call(stack.bus, defineDomain, { xml: xml(name), host: 'h1' });
    expect(domain).toMatchObject({ name, host: 'h1', state: 'shutoff', epoch: 1, persistent: true });
    for (let copy = 0; copy < 6; copy++) expect(await names()).toContain(name);
    await call(stack.bus, startDomain, {}, { target: name });
    for (let copy = 0; copy < 6; copy++) {
      const { domains } = await call(stack.bus, listDomains, { name, active: true });
      expect(domains).toHaveLength(1);
    }
    expect((await call(stack.bus, getDomainXml, {}, { target: domain.uuid })).xml).toContain(domain.uuid);
    await call(stack.bus, destroyDomain, {}, { target: domain.uuid });
    await call(stack.bus, undefineDomain, {}, { target: name });
    for (let copy = 0; copy < 6; copy++) expect(await names()).not.toContain(name);
    expect(await code(call(stack.bus, getDomain, {}, { target: name }))).toBe('DOMAIN_NOT_FOUND');
  }
});

test('the same start sent twenty times to three copies boots once and gets twenty equal answers', async () => {
  await call(stack.bus, defineDomain, { xml: xml('twenty') });
  const id = newId();
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => call(stack.bus, startDomain, {}, { target: 'twenty', id })),
  );
  expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
  expect(allApplied().filter((one) => one.id === id)).toHaveLength(1);
});

test('the same define sent in parallel through all copies makes one domain and equal answers', async () => {
  for (let round = 0; round < 5; round++) {
    const id = newId();
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => call(stack.bus, defineDomain, { xml: xml(`same${round}`) }, { id })),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(allApplied().filter((one) => one.id === id)).toHaveLength(1);
    const again = await call(stack.bus, defineDomain, { xml: xml(`same${round}`) }, { id });
    expect(again).toEqual(answers[0]);
  }
});

test('of many who define one name with different uuids exactly one wins', async () => {
  const outcomes = await Promise.allSettled(
    Array.from({ length: 12 }, () => call(stack.bus, defineDomain, { xml: xml('contested') })),
  );
  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  expect(won).toHaveLength(1);
  const { uuid } = won[0]!.value.domain;
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') continue;
    expect(outcome.reason).toMatchObject({ code: 'DOMAIN_EXISTS' });
    expect((outcome.reason as Error).message).toBe(
      `operation failed: domain 'contested' already exists with uuid ${uuid}`,
    );
  }
  expect((await call(stack.bus, listDomains, { name: 'contested' })).total).toBe(1);
});

test('a uuid keeps its name, and is redefined where it lives', async () => {
  const { domain } = await call(stack.bus, defineDomain, { xml: xml('keeper'), host: 'h2' });
  const again = await call(stack.bus, defineDomain, { xml: xml('keeper', `<uuid>${domain.uuid}</uuid>`) });
  expect(again.domain).toMatchObject({ uuid: domain.uuid, host: 'h2', epoch: 1 });
  await expect(call(stack.bus, defineDomain, { xml: xml('other', `<uuid>${domain.uuid}</uuid>`) })).rejects.toThrow(
    `domain 'keeper' is already defined with uuid ${domain.uuid}`,
  );
  expect(
    await code(call(stack.bus, defineDomain, { xml: xml('keeper', `<uuid>${domain.uuid}</uuid>`), host: 'h1' })),
  ).toBe('OPERATION_FAILED');
});

test('a definition that its host refuses leaves nothing behind, and its name is free again', async () => {
  const [host] = stack.hosts;
  host!.refuse = new VirtError('CONFIG_UNSUPPORTED', { detail: 'no such machine' });
  const ask = () => call(stack.bus, defineDomain, { xml: xml('refused'), host: 'h1' });
  expect(await code(ask())).toBe('CONFIG_UNSUPPORTED');
  expect(await names()).not.toContain('refused');
  expect((await ask()).domain.name).toBe('refused');
});

test('bad definitions are refused in one line and claim nothing', async () => {
  const ask = (document: string) => code(call(stack.bus, defineDomain, { xml: document, validate: true }));
  const before = await names();
  expect(await ask('<domain')).toBe('XML_DETAIL');
  expect(await ask(xml('a/b'))).toBe('XML_ERROR');
  expect(await ask(xml('..'))).toBe('XML_ERROR');
  expect(await ask(xml('fine', '<frobnicator/>'))).toBe('XML_INVALID_SCHEMA');
  expect(await code(call(stack.bus, defineDomain, {}))).toBe('INVALID_ARG');
  expect(await names()).toEqual(before);
});

test('names that subjects cannot carry work like any other', async () => {
  const name = 'Größe 1.0 *';
  await call(stack.bus, defineDomain, { xml: xml(name) });
  const { domain } = await call(stack.bus, startDomain, {}, { target: name });
  expect(domain).toMatchObject({ name, state: 'running' });
});

test('a transient domain is forgotten when it stops, and its name is free again', async () => {
  const { domain } = await call(stack.bus, createDomain, { xml: xml('fleeting') });
  expect(domain).toMatchObject({ persistent: false, state: 'running' });
  expect(await names()).toContain('fleeting');
  const host = stack.hosts.find(({ name }) => name === domain.host)!;
  host.happen(domain.uuid, { state: 'shutoff', reason: 'shutdown', id: -1 }, 'stopped', 'shutdown');
  await soon(async () => !(await names()).includes('fleeting'));
  // Who lists it no more is a moment ahead of the registry, which lets go of the name.
  const again = async (): Promise<string> =>
    (await call(stack.bus, createDomain, { xml: xml('fleeting') })).domain.uuid;
  expect(await eventually(again, (uuid) => uuid !== domain.uuid)).not.toBe(domain.uuid);
});

test('a uuid that lives again does so under a higher epoch', async () => {
  const uuid = '6f1d9a52-1a51-4c1e-9d3b-2c9c6c1f0a77';
  const document = xml('phoenix', `<uuid>${uuid}</uuid>`);
  const first = await call(stack.bus, defineDomain, { xml: document, host: 'h1' });
  await call(stack.bus, undefineDomain, {}, { target: uuid });
  const second = await call(stack.bus, defineDomain, { xml: document, host: 'h2' });
  expect(second.domain.epoch).toBeGreaterThan(first.domain.epoch);
  for (let copy = 0; copy < 6; copy++) {
    expect((await call(stack.bus, getDomain, {}, { target: uuid })).domain.host).toBe('h2');
  }
});

test('the undefine that was answered is answered again', async () => {
  const { domain } = await call(stack.bus, defineDomain, { xml: xml('twice') });
  const id = newId();
  const first = await call(stack.bus, undefineDomain, {}, { target: domain.uuid, id });
  const again = await soon(() => call(stack.bus, undefineDomain, {}, { target: domain.uuid, id }));
  expect(again).toEqual(first);
});

test('rename moves the name and frees the old one', async () => {
  const { domain } = await call(stack.bus, defineDomain, { xml: xml('before') });
  await call(stack.bus, defineDomain, { xml: xml('occupied') });
  expect(await code(call(stack.bus, renameDomain, { name: 'occupied' }, { target: 'before' }))).toBe('DOMAIN_EXISTS');
  const renamed = await call(stack.bus, renameDomain, { name: 'after' }, { target: 'before' });
  expect(renamed.domain).toMatchObject({ uuid: domain.uuid, name: 'after' });
  for (let copy = 0; copy < 6; copy++)
    expect((await call(stack.bus, getDomain, {}, { target: 'after' })).domain.uuid).toBe(domain.uuid);
  expect((await call(stack.bus, defineDomain, { xml: xml('before') })).domain.uuid).not.toBe(domain.uuid);
  await call(stack.bus, startDomain, {}, { target: 'after' });
  expect(await code(call(stack.bus, renameDomain, { name: 'third' }, { target: 'after' }))).toBe('OPERATION_INVALID');
  expect((await call(stack.bus, defineDomain, { xml: xml('third') })).domain.name).toBe('third');
});

test('a rename whose answer was lost is answered again, though nobody has the former name; of another command nothing is known', async () => {
  await call(stack.bus, defineDomain, { xml: xml('known-as') });
  const id = newId();
  const again = (to: string, as = id) => call(stack.bus, renameDomain, { name: to }, { target: 'known-as', id: as });
  const first = await again('called');
  expect(await again('called')).toEqual(first);
  await expect(again('called', newId())).rejects.toMatchObject({ code: 'DOMAIN_NOT_FOUND' });
});

test('a saved guest comes back under its name and uuid', async () => {
  const uuid = '3c8f5a8e-6f0b-4d53-9f0c-8a3c1b9d2e11';
  stack.hosts[0]!.saves.set('/save/one', xml('saved', `<uuid>${uuid}</uuid>`));
  const { domain } = await call(stack.bus, restoreDomain, { host: 'h1', path: '/save/one' });
  expect(domain).toMatchObject({ uuid, name: 'saved', host: 'h1', state: 'running' });
  expect(await names()).toContain('saved');
  expect(await code(call(stack.bus, restoreDomain, { host: 'h1', path: '/save/none' }))).toBe('OPERATION_FAILED');
});

test('placement names the reason of every host when none fits', async () => {
  const want = (document: string, labels = {}) => call(stack.bus, defineDomain, { xml: document, labels });
  await expect(want(xml('big').replace("'MiB'>128", "'GiB'>100"))).rejects.toThrow(
    /no suitable host: h1 \(test\) has \d+ MiB of memory free, 102400 MiB are needed; h2 \(test\) has/,
  );
  await expect(want(xml('zoned'), { zone: 'b' })).rejects.toThrow('h1 (test) has label zone=(none), not zone=b');
  await expect(want(xml('xenial').replace("type='qemu'", "type='xen'"))).rejects.toThrow(
    "cannot run domains of type 'xen'",
  );
  expect(await code(call(stack.bus, defineDomain, { xml: xml('lost'), host: 'h9' }))).toBe('HOST_NOT_FOUND');
});

test('a host that nobody knows is not told of as an empty one', async () => {
  for (const contract of [listDomains, statsOfDomains])
    expect(await code(call(stack.bus, contract, { host: 'h9' }))).toBe('HOST_NOT_FOUND');
  expect((await call(stack.bus, listDomains, { host: 'h1', name: 'nobody' })).domains).toEqual([]);
});

test('statistics are gathered from every host', async () => {
  await call(stack.bus, createDomain, { xml: xml('measured1'), host: 'h1' });
  await call(stack.bus, createDomain, { xml: xml('measured2'), host: 'h2' });
  const { stats, missing } = await call(stack.bus, statsOfDomains, { domains: ['measured1', 'measured2'] });
  expect(stats.map(({ name }) => name).sort()).toEqual(['measured1', 'measured2']);
  expect(missing).toEqual([]);
  const all = await call(stack.bus, statsOfDomains, {});
  expect(all.stats.map(({ name }) => name)).toEqual(expect.arrayContaining(['measured1', 'measured2']));
  expect(await code(call(stack.bus, statsOfDomains, { domains: ['nobody'] }))).toBe('DOMAIN_NOT_FOUND');
});

test('a list comes in pages by name', async () => {
  const everything = await names();
  const collected: string[] = [];
  let after: string | undefined;
  do {
    const page = await call(stack.bus, listDomains, { limit: 3, after });
    expect(page.total).toBe(everything.length);
    collected.push(...page.domains.map(({ name }) => name));
    after = page.next;
  } while (after !== undefined);
  expect(collected).toEqual(everything);
});

test('a stock client speaks JSON and gets JSON', async () => {
  const answer = await stack.bus.nc.request('virtbus.v1.query.domain.list', '{"limit": 1}', { timeout: 5_000 });
  expect(answer.json()).toMatchObject({ total: expect.any(Number) as number });
  const empty = await stack.bus.nc.request('virtbus.v1.query.domain.list', '', { timeout: 5_000 });
  expect(empty.json()).toHaveProperty('domains');
});

test('the service shows itself to micro discovery, once a copy', async () => {
  const found = [];
  const all = { strategy: 'count' as never, maxMessages: 3, maxWait: 20_000 };
  for await (const info of await stack.bus.nc.services.client(all).info('virtbus-domain')) found.push(info);
  expect(found).toHaveLength(3);
  expect(found[0]!.endpoints.map(({ name }) => name)).toEqual(expect.arrayContaining(['domain-start', 'domain-list']));
});

test('a host that is gone for good is forgotten by every copy, once nothing lives there, and listed when it is back', async () => {
  const listed = async (): Promise<string[]> => {
    // Each copy answers one of these, more or less.
    const answers = await Promise.all(Array.from({ length: 9 }, () => call(stack.bus, listHosts, {})));
    return [...new Set(answers.flatMap(({ hosts }) => hosts.map(({ host, online }) => `${host} ${String(online)}`)))];
  };
  // Asked of any copy: what one has not heard yet it will.
  const forget = (): Promise<string> =>
    call(stack.bus, forgetHost, {}, { target: 'h3' }).then(
      () => 'forgotten',
      (error: Error) => error.message,
    );
  expect(await forget()).toContain("no host named 'h3'");
  const gone = await stack.addHost('h3');
  await eventually(listed, (hosts) => hosts.includes('h3 true'));
  await call(stack.bus, defineDomain, { xml: xml('left-there'), host: 'h3' });
  await eventually(forget, (answer) => answer.includes("domains live on host 'h3' (left-there)"));
  await call(stack.bus, undefineDomain, {}, { target: 'left-there' });
  await eventually(forget, (answer) => answer.includes("driver test of host 'h3' is online"));
  await gone.stop();
  await eventually(forget, 'forgotten');
  await eventually(listed, (hosts) => !hosts.some((host) => host.startsWith('h3')));
  await stack.addHost('h3');
  await eventually(listed, (hosts) => hosts.includes('h3 true'));
});
