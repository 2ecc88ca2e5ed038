/** Migrations that cannot be: every reason is told at once, before the source is touched, and the guest runs on. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  checkMigration,
  createSnapshot,
  defineDomain,
  deleteSnapshot,
  getDomain,
  getDomainXml,
  listMigrations,
  migrateDomain,
  showMigration,
  type DomainSummary,
  type Migration,
  type RequestInput,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, findProgram, Stack } from '@virtbus/testkit';
import { makeCertificates } from './certificates';
import { disk } from './storage-stand';

jest.setTimeout(300_000);

const patience = { timeoutMs: 90_000 };
/** The whole range: a migration with copied disks needs both. Below what the kernel gives to connections (ip(7)). */
const [first, last] = [27_900, 27_901];

let stack: Stack;
let bus: Bus;
let guest: DomainSummary;

beforeAll(async () => {
  const env = { VIRTBUS_MIGRATION_ADDRESS: '127.0.0.1', VIRTBUS_MIGRATION_PORTS: `${first}-${last}` };
  stack = await Stack.start({ hosts: ['h1', 'h2'], migrationServices: 1, env });
  bus = await stack.connect();
  const image = stack.folder.file('images', 'here.qcow2');
  mkdirSync(stack.folder.file('images'));
  qemuImg('create', '-q', '-f', 'qcow2', image, '4M');
  guest = await stack.run(bus, { name: 'web1', host: 'h1', devices: disk(image, 'qcow2') });
});
afterAll(() => stack?.[Symbol.asyncDispose]());

function qemuImg(...args: string[]): string {
  return execFileSync(findProgram('qemu-img')!, args, { encoding: 'utf8', timeout: 60_000 });
}

type Wish = RequestInput<typeof checkMigration>;

/** Every reason as a dry run tells it; the migration itself is refused with the same, and leaves no trace. */
async function refused(wish: Wish): Promise<string[]> {
  const on = { target: 'web1', timeoutMs: 60_000 };
  const { reasons } = await call(bus, checkMigration, wish, on);
  const error: Error = await call(bus, migrateDomain, wish, on).then(
    () => new Error('it was not refused'),
    (thrown: Error) => thrown,
  );
  for (const { message } of reasons) expect(error.message).toContain(message);
  const { domain } = await call(bus, getDomain, {}, { target: 'web1' });
  expect([domain.host, domain.state, domain.revision]).toEqual(['h1', 'running', guest.revision]);
  expect((await call(bus, listMigrations, {})).migrations).toEqual([]);
  return reasons.map(({ where, message }) => `${where}: ${message}`);
}

const copied = { live: true, storage: 'full' } as const;

/** Both hosts are this machine, so a copy needs a place of its own. */
async function copiedTo(path = stack.folder.file('images', 'copy.qcow2')): Promise<Wish> {
  const { document } = await sourceDocument();
  return { ...copied, to: 'h2', xml: document.replace(/(<source file=')[^']+/, `$1${path}`) };
}

test('a disk that both hosts reach is not copied onto itself', async () => {
  const told = expect.stringContaining(
    'target: Requested operation is not valid: disk vda would be copied onto itself',
  );
  expect(await refused({ ...copied, to: 'h2' })).toEqual([told]);
});

test('hosts and names that cannot be, and a disk that the target does not reach', async () => {
  expect(await refused({ to: 'h9', live: true })).toEqual([expect.stringContaining("no host named 'h9'")]);
  expect(await refused({ to: 'h1', live: true })).toEqual([expect.stringContaining("lives on host 'h1' already")]);
  expect(await refused({ to: 'h2', driver: 'lxc', live: true })).toEqual([
    expect.stringContaining("host 'h2' has no driver 'lxc'"),
  ]);
  const { domain } = await call(bus, defineDomain, { xml: await stack.domainXml({ name: 'taken' }), host: 'h2' });
  const both = await refused({ to: 'h2', live: true, name: 'taken' });
  expect(both).toContainEqual(expect.stringContaining(`domain 'taken' already exists with uuid ${domain.uuid}`));
  expect(both).toContainEqual(expect.stringMatching(/^source: Unsafe migration.*copy it \(--copy-storage-all\)/));
});

test('a range of ports that is used up, and one port where two are needed', async () => {
  const servers = [first, last].map((port) => createServer().listen(port, '0.0.0.0'));
  await Promise.all(servers.map((server) => eventually(() => server.listening, true)));
  const usedUp = [expect.stringContaining(`no free port for a migration on this host between ${first} and ${last}`)];
  try {
    expect(await refused(await copiedTo())).toEqual(usedUp);
    servers[0]!.close();
    expect(await refused(await copiedTo())).toEqual(usedUp);
  } finally {
    for (const server of servers) server.close();
  }
});

test("an address to listen on that is not the target's is named, not its ports", async () => {
  const elsewhere = { ...(await copiedTo()), listen: '192.0.2.7' };
  expect(await refused(elsewhere)).toEqual([
    expect.stringContaining('target: operation failed: cannot listen on 192.0.2.7: EADDRNOTAVAIL'),
  ]);
});

test('a target without room or folder for a copied disk; hardware that differs', async () => {
  const { document } = await sourceDocument();
  expect(await refused(await copiedTo('/nowhere/web1.qcow2'))).toEqual([
    expect.stringContaining('there is no folder /nowhere; make it there first'),
  ]);
  const tiny = stack.folder.file('tiny');
  mkdirSync(tiny);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', tiny]);
  try {
    const [full] = await refused(await copiedTo(join(tiny, 'web1.qcow2')));
    expect(full).toMatch(/target: .*tiny has \d+ bytes free, and the disk takes \d+/);
  } finally {
    execFileSync('umount', [tiny]);
  }
  const more = document.replace(/<vcpu[^>]*>1</, '<vcpu>2<');
  expect(await refused({ ...copied, to: 'h2', xml: more })).toContainEqual(expect.stringMatching(/^source: .*vcpu/i));
});

test('certificates that are missing, of another authority, or for another name', async () => {
  if (!findProgram('openssl')) throw new Error('openssl is not installed; run: tools/bootstrap.sh --for test');
  const there = await copiedTo();
  const tls = (directory: string, more: object = {}): Wish => ({ ...there, tls: { directory, ...more } });
  const none = await refused(tls('/nowhere'));
  expect(none).toEqual([
    expect.stringContaining('source: unsupported configuration: TLS certificate /nowhere/ca-cert.pem is missing'),
    expect.stringContaining('target: unsupported configuration: TLS certificate /nowhere/ca-cert.pem is missing'),
  ]);
  const good = makeCertificates(stack.folder.file('good'), '127.0.0.1');
  const other = makeCertificates(stack.folder.file('other'), '127.0.0.1');
  writeFileSync(join(other, 'ca-cert.pem'), readFileSync(join(good, 'ca-cert.pem')));
  expect((await refused(tls(other))).join()).toContain('not signed by the authority that is to vouch for it');
  expect(await refused(tls(good, { peer: 'other.example' }))).toEqual([
    expect.stringContaining("the TLS certificate of the target is not for 'other.example'"),
  ]);
});

test('snapshots stay behind, so a domain that has some stays too', async () => {
  const xml = '<domainsnapshot><name>s1</name></domainsnapshot>';
  const image = stack.folder.file('images', 'off.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', image, '1M');
  const off = await stack.define(bus, { name: 'off', host: 'h1', devices: disk(image, 'qcow2') });
  await call(bus, createSnapshot, { xml }, { target: 'off', timeoutMs: 60_000 });
  const wish = { to: 'h2', offline: true };
  const check = (): Promise<unknown> =>
    call(bus, checkMigration, wish, { target: off.uuid, timeoutMs: 60_000 }).then(({ reasons }) => reasons);
  expect(await check()).toEqual([
    expect.objectContaining({
      where: 'source',
      message: expect.stringContaining('cannot migrate domain with 1 snapshots'),
    }),
  ]);
  await call(bus, deleteSnapshot, { name: 's1' }, { target: 'off', timeoutMs: 60_000 });
  expect(await check()).toEqual([]);
});

test('a target that is offline is refused; once it is back, missing images are made there, and taken away by an abort', async () => {
  await stack.drivers.get('h2')!.stop('SIGKILL');
  const away = async (): Promise<string> => (await refused({ ...copied, to: 'h2' })).join();
  await eventually(away, (told) => told.includes("host 'h2'") && told.includes('offline'), patience);
  await stack.startDriver('h2');
  await stack.driverReady('h2');
  await stack.hostsOnline(2);

  const there = stack.folder.file('images', 'there.qcow2');
  const wish = await copiedTo(there);
  const ended = async ({ id }: Migration): Promise<Migration> => {
    const show = async (): Promise<Migration> => (await call(bus, showMigration, {}, { target: id })).migration;
    await eventually(async () => (await show()).step, 'done', patience);
    return show();
  };
  const begin = async (more: object): Promise<Migration> => {
    return (await call(bus, migrateDomain, { ...wish, ...more }, { target: 'web1', timeoutMs: 60_000 })).migration;
  };
  const given = await begin({ bandwidth: 20_000, timeout: { afterMs: 1_500, action: 'abort' } });
  expect((await ended(given)).state).toBe('failed');
  await eventually(() => existsSync(there), false, patience);
  // With its disk, and both by TLS.
  const directory = makeCertificates(stack.folder.file('both'), '127.0.0.1');
  const moved = await ended(await begin({ tls: { directory } }));
  expect([moved.state, moved.reason]).toEqual(['completed', undefined]);
  const info = JSON.parse(qemuImg('info', '-U', '--output', 'json', there)) as Record<string, unknown>;
  expect(info).toMatchObject({ format: 'qcow2', 'virtual-size': 4 * 1024 * 1024 });
});

async function sourceDocument(): Promise<{ document: string }> {
  const { xml } = await call(bus, getDomainXml, { secure: true }, { target: 'web1' });
  return { document: xml! };
}
