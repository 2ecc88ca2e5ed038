/** `virtbus auth`, as far as no server is needed: what it writes, and what it says to a wrong line. */
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';
import { parseServers } from './commands/auth-init';
import { run } from './run';
import { parseExpiry } from './times';

jest.setTimeout(60_000);

let folder: TemporaryFolder;
let bus: string;
beforeEach(() => {
  folder = temporaryFolder();
  bus = folder.file('bus');
});
afterEach(() => folder[Symbol.dispose]());

/** Exit code and all that was printed. */
async function virtbus(...words: string[]): Promise<{ code: number; text: string }> {
  let text = '';
  const stream = (): Writable => new Writable({ write: (chunk, _encoding, done) => ((text += String(chunk)), done()) });
  const code = await run(words, { stdout: stream(), stderr: stream(), env: {} }, '0.0.0');
  return { code, text };
}

const modesBelow = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(`${path}/${name}`).isFile())
    .map((name) => `${(statSync(`${path}/${name}`).mode & 0o777).toString(8)} ${name}`)
    .sort();

test('init makes one server on the loopback, an admin and a service; every file is its owner’s alone', async () => {
  expect((await virtbus('auth', 'init', bus)).code).toBe(0);
  const files = ['admin.json', 'authority.json', 'servers/virtbus/nats-server.conf', 'service.json'];
  expect(modesBelow(bus)).toEqual(files.map((name) => `600 ${name}`));
  expect(JSON.parse(readFileSync(`${bus}/admin.json`, 'utf8'))).toMatchObject({
    url: 'nats://127.0.0.1:4222',
    role: 'admin',
    inboxPrefix: '_INBOX.admin',
  });
  expect(readFileSync(`${bus}/servers/virtbus/nats-server.conf`, 'utf8')).toContain('listen: "127.0.0.1:4222"');
});

test('init makes a cluster whose servers find each other and their files where they are carried to', async () => {
  const where = ['--config-dir', '/etc/nats', '--store-dir', '/data', '--monitor-port', '8222'];
  expect((await virtbus('auth', 'init', bus, '--servers', 'n1,n2=10.0.0.2:5222', '--tls', ...where)).code).toBe(0);
  const config = readFileSync(`${bus}/servers/n1/nats-server.conf`, 'utf8');
  for (const line of [
    'listen: "0.0.0.0:4222"',
    'http: "127.0.0.1:8222"',
    'jetstream { store_dir: "/data" }',
    'tls { cert_file: "/etc/nats/cert.pem", key_file: "/etc/nats/key.pem" }',
    '  routes: ["nats-route://10.0.0.2:7222"]',
  ]) {
    expect(config.split('\n')).toContain(line);
  }
  const admin = JSON.parse(readFileSync(`${bus}/admin.json`, 'utf8')) as Record<string, string>;
  expect(admin).toMatchObject({ url: 'tls://n1:4222,tls://10.0.0.2:5222' });
  expect(admin.ca).toBe(readFileSync(`${bus}/tls/ca.pem`, 'utf8'));
});

test('certificates that are given are looked at before a server fails over them', async () => {
  await virtbus('auth', 'init', folder.file('other'), '--servers', 'n1', '--tls');
  await virtbus('auth', 'init', folder.file('third'), '--servers', 'n1', '--tls');
  const [ca, cert, key] = ['ca', 'cert', 'key'].map((what) => folder.file('other', 'servers', 'n1', `${what}.pem`));
  const third = (what: string): string => folder.file('third', 'servers', 'n1', `${what}.pem`);
  const init = (servers: string, ...paths: (string | undefined)[]): ReturnType<typeof virtbus> =>
    virtbus(
      'auth',
      'init',
      bus,
      '--servers',
      servers,
      ...['--ca', '--cert', '--key'].flatMap((o, i) => [o, paths[i]!]),
    );
  expect((await init('n1,n2', ca, cert, key)).text).toMatch(/is not for 'n2' \(but for DNS:n1\)\n$/);
  expect((await init('n1', ca, cert, third('key'))).text).toMatch(/the key in .* is of another certificate\n$/);
  expect((await init('n1', third('ca'), cert, key)).text).toMatch(/was not issued by the authority in /);
  expect((await init('n1', ca, key, key)).text).toMatch(/holds no certificate in PEM form\n$/);
  expect((await init('n1', ca, '/nowhere', key)).text).toMatch(/\/nowhere does not exist\n$/);
  expect((await init('n1', ca, cert, key)).code).toBe(0);
});

describe('a wrong line', () => {
  const own = temporaryFolder();
  const there = own.file('bus');
  beforeAll(() => virtbus('auth', 'init', there));
  afterAll(() => own[Symbol.dispose]());

  test.each([
    [['init', 'BUS'], /authority\.json is there already: .*name another folder$/],
    [['init', 'X', '--servers', 'n1,n2'], /others can reach server 'n1' at n1: that needs --tls, or --ca/],
    [['init', 'X', '--servers', 'a=127.0.0.1,b=127.0.0.1:5222'], /a cluster has routes: that needs --tls/],
    [['init', 'X', '--servers', 'n1,n1', '--tls'], /two servers are named 'n1'/],
    [['init', 'X', '--servers', 'n 1'], /--servers: 'n 1' is neither NAME nor/],
    [['init', 'X', '--tls', '--ca', 'a', '--cert', 'b', '--key', 'c'], /give one of the two/],
    [['init', 'X', '--ca', 'a'], /--ca, --cert and --key belong together/],
    [['init', 'X', '--monitor-port', '99999'], /--monitor-port: 99999 is no port/],
    [['add', '--folder', 'BUS'], /--role: is missing/],
    [['add', '--role', 'king', '--folder', 'BUS'], /--role: 'king' is none of admin, operator/],
    [['add', '--role', 'host', '--folder', 'BUS'], /role host needs the name of its host/],
    [['add', '--role', 'reader', '--host', 'h1', '--folder', 'BUS'], /role reader is of no host/],
    [['add', '--role', 'host', '--host', 'h.1', '--folder', 'BUS'], /(host|name) .*h\.1.: must be letters/],
    [['add', 'a.b', '--role', 'reader', '--folder', 'BUS'], /name 'a\.b': must be letters, digits/],
    [['add', 'authority', '--role', 'reader', '--folder', 'BUS'], /name 'authority': .*another name/],
    [['add', '--role', 'admin', '--folder', 'BUS'], /user 'admin' exists; choose another name/],
    [['add', 'x', '--role', 'reader', '--expires', 'soon', '--folder', 'BUS'], /--expires: 'soon' is neither/],
    [['revoke', 'nobody', '--folder', 'BUS'], /there is no user 'nobody'; there are: admin, service/],
    [['rotate', 'nobody', '--folder', 'BUS'], /there is no user 'nobody'/],
    [['list', '--folder', 'X'], /authority\.json does not exist; make an authority with 'virtbus auth init'/],
  ])('auth %p is told in one line', async (words, line) => {
    const { code, text } = await virtbus(
      'auth',
      ...words.map((w) => (w === 'BUS' ? there : w === 'X' ? `${there}-x` : w)),
    );
    expect(code).not.toBe(0);
    expect(text.trim().split('\n')).toHaveLength(1);
    expect(text.trim()).toMatch(line);
  });
});

test('an authority that cannot be read is told with what is wrong', async () => {
  mkdirSync(bus);
  writeFileSync(`${bus}/authority.json`, '{');
  expect((await virtbus('auth', 'add', '--role', 'reader', '--folder', bus)).text).toMatch(
    /authority\.json is not JSON\n$/,
  );
  writeFileSync(`${bus}/authority.json`, '{"operator": 1}');
  expect((await virtbus('auth', 'add', '--role', 'reader', '--folder', bus)).text).toMatch(/is damaged: operator: /);
});

test('a revocation that no server hears is written down, and the line says how it comes into force', async () => {
  await virtbus('auth', 'init', bus, '--servers', 'n1=127.0.0.1:1');
  const { code, text } = await virtbus('auth', 'revoke', 'admin', '--folder', bus);
  expect(code).toBe(1);
  expect(text).toMatch(
    /no NATS server at nats:\/\/127\.0\.0\.1:1 .*written down, .*'virtbus auth renew --folder \/\S+\/bus'\n$/,
  );
  const { text: list } = await virtbus('auth', 'list', '--folder', bus, '--json');
  expect(list).toContain('"revoked"');
});

test('two who add at the same time both succeed', async () => {
  await virtbus('auth', 'init', bus);
  const added = ['h1', 'h2', 'h3'].map((host) =>
    virtbus('auth', 'add', '--role', 'host', '--host', host, '--folder', bus),
  );
  expect((await Promise.all(added)).map(({ code }) => code)).toEqual([0, 0, 0]);
  const { users } = JSON.parse(readFileSync(`${bus}/authority.json`, 'utf8')) as { users: { name: string }[] };
  expect(users.map(({ name }) => name).sort()).toEqual(['admin', 'host-h1', 'host-h2', 'host-h3', 'service']);
});

test('servers are named, with where others reach them', () => {
  expect(parseServers('n1, n2=bus.example.org:5000,n3=[fe80::1]:4222:6000')).toEqual([
    { name: 'n1', host: 'n1', port: 4222, clusterPort: 6222 },
    { name: 'n2', host: 'bus.example.org', port: 5000, clusterPort: 7000 },
    { name: 'n3', host: 'fe80::1', port: 4222, clusterPort: 6000 },
  ]);
  expect(() => parseServers('n1=h:99999')).toThrow('99999 is no port');
});

test('an expiry is so far ahead, or a time that is to come', () => {
  const now = new Date('2030-01-01T00:00:00Z');
  expect(parseExpiry('90d', now)).toEqual(new Date('2030-04-01T00:00:00Z'));
  expect(parseExpiry('2030-02-01', now)).toEqual(new Date('2030-02-01T00:00:00Z'));
  expect(() => parseExpiry('2029-12-31', now)).toThrow("'2029-12-31' is past");
});
