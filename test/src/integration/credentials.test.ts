/** Credentials on a real cluster: three servers with TLS, as `virtbus auth init` describes them. */
import { execFileSync } from 'node:child_process';
import dns from 'node:dns';
import { join } from 'node:path';
import { defineDomain, getDomain, isVirtError, resumeDomain, startDomain, suspendDomain } from '@virtbus/shared';
import { AuthorityFolder, tellServers, type NewUser } from '@virtbus/shared/auth';
import { call, connectBus, newId, type Bus } from '@virtbus/shared/bus';
import {
  checkout,
  eventually,
  findProgram,
  freePort,
  patiently,
  startNatsServer,
  startProcess,
  startService,
  temporaryFolder,
  type TestProcess,
} from '@virtbus/testkit';

jest.setTimeout(180_000);

const patience = { timeoutMs: 60_000 };
const folder = temporaryFolder();
const path = folder.file('bus');
const names = ['n1', 'n2', 'n3'] as const;
const servers: TestProcess[] = [];
const buses: Bus[] = [];
let made: AuthorityFolder;

beforeAll(async () => {
  const addresses = [];
  for (const name of names) {
    addresses.push({ name, host: '127.0.0.1', port: await freePort(), clusterPort: await freePort() });
  }
  made = await AuthorityFolder.create(path, { servers: addresses, tls: 'own' });
  for (const name of names) {
    servers.push(await startProcess([findProgram('nats-server')!, '-c', made.serverConfig(name)], { name }));
  }
  // Routes take a moment: the cluster is whole when all answer.
  await eventually(() => tellServers(made).catch(() => []), [...names], patience);
});
afterEach(async () => {
  for (const bus of buses.splice(0)) await bus.close();
});
afterAll(async () => {
  for (const server of servers) await server.stop('SIGKILL');
  folder[Symbol.dispose]();
});

const add = (user: NewUser, authority = path): Promise<string> =>
  AuthorityFolder.change(authority, async (opened) => opened.writeContext(await opened.authority.add(user)));
const addressOf = (n: number): string => made.url.split(',')[n]!;

async function connected(options: Partial<Parameters<typeof connectBus>[0]>): Promise<Bus> {
  const bus = await patiently(() => connectBus({ name: 'test', ...options }));
  buses.push(bus);
  return bus;
}

const refusal = (options: Partial<Parameters<typeof connectBus>[0]>): Promise<string> =>
  connected(options).then(
    () => 'let in',
    (error: unknown) => (isVirtError(error) ? `${error.code}: ${error.message}` : String(error)),
  );

/** What a person types; the printed line. */
const virtbus = (...words: string[]): string =>
  execFileSync(process.execPath, [join(checkout, 'cli/dist/main.js'), ...words], { encoding: 'utf8' });

test('a user that is revoked is thrown out of every server, and let in by none', async () => {
  const context = await add({ name: 'ann', role: 'reader' });
  const ann = await Promise.all(names.map((_name, n) => connected({ context, url: addressOf(n) })));
  const bob = await connected({ context: await add({ name: 'bob', role: 'reader' }) });
  expect(JSON.parse(virtbus('auth', 'list', '--folder', path, '--json'))).toMatchObject({
    users: [{ name: 'ann', role: 'reader', seen: { connected: true } }, { name: 'bob' }],
  });
  const kept = folder.file('kept.json');
  execFileSync('cp', ['-p', context, kept]);
  expect(virtbus('auth', 'revoke', 'ann', '--folder', path)).toBe("User 'ann' revoked on n1, n2, n3\n");
  for (const bus of ann) {
    await eventually(() => bus.nc.isClosed(), true, patience);
    expect(bus.refused()?.code).toBe('AUTH_FAILED');
  }
  for (const n of [0, 1, 2]) {
    expect(await refusal({ context: kept, url: addressOf(n) })).toMatch(
      /^AUTH_FAILED: .*refuses the credentials in .*revoked/,
    );
  }
  await bob.nc.flush();
});

test('credentials that have expired are refused, and the line says so', async () => {
  const context = await add({ name: 'eve', role: 'reader', expires: new Date(Date.now() - 2_000) });
  expect(await refusal({ context })).toMatch(/^AUTH_FAILED: .*eve\.json expired on .*virtbus auth rotate eve/);
});

test('new credentials of a host: its driver is back at once, its guest runs on, no command is lost or given twice', async () => {
  const service = await add({ name: 'service', role: 'service' });
  const host = await add({ name: 'host-h1', role: 'host', host: 'h1' });
  const admin = await connected({ context: await add({ name: 'admin', role: 'admin' }) });
  const env = { VIRTBUS_STATE_DIR: folder.file('state'), VIRTBUS_RUN_DIR: folder.file('r') };
  await using domains = await startService('domain', { env: { ...env, VIRTBUS_CONTEXT: service } });
  await domains.waitFor('domain service ready', patience);
  await using driver = await startService('driver-test', {
    env: { ...env, VIRTBUS_CONTEXT: host, VIRTBUS_HOST: 'h1' },
  });
  await driver.waitFor('driver ready', patience);

  const xml = `<domain type='test'><name>g</name><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>`;
  const [defining, starting] = [newId(), newId()];
  await patiently(() => call(admin, defineDomain, { xml }, { id: defining }));
  await patiently(() => call(admin, startDomain, {}, { target: 'g', id: starting }));
  const before = (await call(admin, getDomain, {}, { target: 'g' })).domain;

  virtbus('auth', 'rotate', 'host-h1', '--folder', path);
  for (const what of [suspendDomain, resumeDomain, suspendDomain, resumeDomain]) {
    const id = newId();
    await patiently(() => call(admin, what, {}, { target: 'g', id, timeoutMs: 5_000 }));
  }
  const after = (await call(admin, getDomain, {}, { target: 'g' })).domain;
  expect(after).toMatchObject({ state: 'running', id: before.id, revision: before.revision + 4 });

  virtbus('auth', 'revoke', 'host-h1', '--folder', path);
  await driver.waitFor('credentials are refused', patience);
  expect(driver.running).toBe(true);
  virtbus('auth', 'rotate', 'host-h1', '--folder', path);
  const again = await patiently(() => call(admin, suspendDomain, {}, { target: 'g' }));
  expect(again.domain).toMatchObject({ state: 'paused', id: before.id });
});

test.each([
  ['another authority', { ca: 'other' }, /AUTH_FAILED: .*not trusted here; VIRTBUS_NATS_CA names the right one$/],
  ['no authority', { context: undefined }, /AUTH_FAILED: .*not trusted here; VIRTBUS_NATS_CA names the right one$/],
])('a server is not believed by %s', async (_what, how, line) => {
  const other = folder.file('other');
  if ('ca' in how && !AuthorityFolder.isIn(other)) {
    const alone = [{ name: 'x', host: '127.0.0.1', port: 1, clusterPort: 1 }];
    await AuthorityFolder.create(other, { servers: alone, tls: 'own' });
  }
  const context = await add({ name: `user-${newId()}`, role: 'reader' });
  const options = 'ca' in how ? { context, ca: join(other, 'tls', 'ca.pem') } : { url: made.url };
  expect(await refusal(options)).toMatch(line);
});

test('a server is known by its name as the system looks it up, and by no other; no name server is asked', async () => {
  const other = folder.file('named');
  const port = await freePort();
  const named = [{ name: 'x', host: 'localhost', port, clusterPort: await freePort() }];
  const { url } = await AuthorityFolder.create(other, { servers: named, tls: 'own' });
  const config = await AuthorityFolder.change(other, async (opened) => opened.serverConfig('x'));
  const server = await startProcess([findProgram('nats-server')!, '-c', config], { name: 'x' });
  servers.push(server);
  const context = await add({ name: 'zoe', role: 'reader' }, other);
  const asked = jest.spyOn(dns, 'resolve4');
  const bus = await eventually(
    () => connected({ context }),
    () => true,
    patience,
  );
  await bus.nc.flush();
  expect(url).toContain('localhost');
  expect(asked).not.toHaveBeenCalled();
  const lookup = dns.lookup;
  // Whoever gives out addresses leads to it under another name.
  dns.lookup = Object.assign(
    (_name: string, ...rest: unknown[]) => (lookup as (...args: unknown[]) => void)('127.0.0.1', ...rest),
    { __promisify__: lookup.__promisify__ },
  );
  try {
    expect(await refusal({ context, url: `tls://other.virtbus:${port}` })).toMatch(/^AUTH_FAILED: .*other\.virtbus/);
  } finally {
    dns.lookup = lookup;
  }
});

test('TLS is not given up where a server has none', async () => {
  await using plain = await startNatsServer();
  const context = await add({ name: 'tess', role: 'reader' });
  expect(await refusal({ context, url: plain.url })).toMatch(/^AUTH_FAILED: .*speaks no TLS, and TLS is asked for$/);
});
