/** After each block operation the host's books are those of the new chain: leases, chain document, no file left over. */
import { existsSync, readFileSync, renameSync } from 'node:fs';
import {
  abortBlockJob,
  abortJob,
  beginBackup,
  commitBlocks,
  copyBlocks,
  createPool,
  createSnapshot,
  deleteSnapshot,
  deleteVolume,
  destroyDomain,
  listBlockJobs,
  listVolumes,
  pullBlocks,
  resumeDomain,
  revertSnapshot,
  showChain,
  storageEventFilter,
  storageLeases,
  suspendDomain,
  type Contract,
  type RequestInput,
} from '@virtbus/shared';
import { call, callDriver, tailStorage, type Bus } from '@virtbus/shared/bus';
import { eventually, freePort, Stack } from '@virtbus/testkit';
import { disk, overlay, rawImage } from './storage-stand';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
let service: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
  service = await stack.connect('service');
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const file = (name: string): string => stack.folder.file(name);
const ask = <C extends Contract>(c: C, domain: string, request: RequestInput<C>) =>
  call(bus, c, request, { target: domain });

/** Disk or need, mode, image. */
async function leases(uuid: string): Promise<string[]> {
  const { holders } = await callDriver(service, { host: 'h1', driver: 'storage' }, storageLeases, { domain: uuid });
  const told = holders.flatMap((holder) =>
    holder.leases.map(({ target, mode, path }) => `${target} ${mode} ${path.split('/').at(-1)}`),
  );
  return told.sort();
}

/** The images of its disk, active layer first, as storage knows them. */
async function chain(uuid: string): Promise<string[]> {
  const { chains } = await call(bus, showChain, { domain: uuid }, { target: 'h1' });
  return (chains[0]?.chain?.layers ?? []).map(({ location, format }) =>
    'path' in location ? `${format} ${location.path.split('/').at(-1)}` : location.type,
  );
}

/** A guest on `<name>-top`, `-mid` and `-base`. */
async function guest(name: string): Promise<string> {
  rawImage(file(`${name}-base`), name);
  overlay(file(`${name}-mid`), `${name}-base`, 'raw');
  overlay(file(`${name}-top`), `${name}-mid`, 'qcow2');
  return (await stack.run(bus, { name, devices: disk(file(`${name}-top`), 'qcow2') })).uuid;
}

const noJobs = (uuid: string): Promise<unknown> =>
  eventually(async () => (await ask(listBlockJobs, uuid, {})).jobs.length, 0, { timeoutMs: 30_000 });
const ready = (uuid: string): Promise<unknown> =>
  eventually(async () => (await ask(listBlockJobs, uuid, {})).jobs[0]?.state, 'ready', { timeoutMs: 30_000 });

async function booksAre(uuid: string, layers: string[]): Promise<void> {
  await eventually(() => chain(uuid), layers, { timeoutMs: 30_000 });
  const held = layers.map((layer, i) => `vda ${i === 0 ? 'exclusive' : 'shared'} ${layer.split(' ')[1]}`);
  await eventually(() => leases(uuid), held.sort(), { timeoutMs: 30_000 });
}

test('a pull leaves the image alone, and its base too where one is named', async () => {
  const uuid = await guest('pull');
  await booksAre(uuid, ['qcow2 pull-top', 'qcow2 pull-mid', 'raw pull-base']);
  await ask(pullBlocks, uuid, { disk: 'vda', base: file('pull-base') });
  await noJobs(uuid);
  await booksAre(uuid, ['qcow2 pull-top', 'raw pull-base']);
  await ask(pullBlocks, uuid, { disk: 'vda' });
  await noJobs(uuid);
  await booksAre(uuid, ['qcow2 pull-top']);
  await ask(destroyDomain, uuid, {});
  await eventually(() => leases(uuid), []);
});

test('a commit writes to its base alone; what was merged is let go', async () => {
  const uuid = await guest('commit');
  await ask(commitBlocks, uuid, { disk: 'vda', top: 'vda[2]', shallow: true });
  await noJobs(uuid);
  await booksAre(uuid, ['qcow2 commit-top', 'raw commit-base']);
  await ask(commitBlocks, uuid, { disk: 'vda', active: true });
  await ready(uuid);
  expect(await leases(uuid)).toContain('base:vda exclusive commit-base');
  await ask(abortBlockJob, uuid, { disk: 'vda', pivot: true });
  await booksAre(uuid, ['raw commit-base']);
  await ask(destroyDomain, uuid, {});
});

test('a commit into an image on which another domain stands is refused and changes nothing', async () => {
  const uuid = await guest('shared');
  overlay(file('other-top'), 'shared-base', 'raw');
  await stack.run(bus, { name: 'other', devices: disk(file('other-top'), 'qcow2') });
  await expect(ask(commitBlocks, uuid, { disk: 'vda', top: 'vda[2]', shallow: true })).rejects.toMatchObject({
    code: 'IMAGE_IN_USE',
    message: `Requested operation is not valid: ${file('shared-base')} is in use: domain 'other'`,
  });
  await booksAre(uuid, ['qcow2 shared-top', 'qcow2 shared-mid', 'raw shared-base']);
  for (const name of [uuid, 'other']) await ask(destroyDomain, name, {});
});

test('the guest goes over to its copy, which is held for it alone; a copy that is given up is let go', async () => {
  const uuid = await guest('copy');
  const to = (name: string): string => `<disk type='file'><driver type='qcow2'/><source file='${file(name)}'/></disk>`;
  await ask(copyBlocks, uuid, { disk: 'vda', xml: to('copied'), transientJob: true });
  await ready(uuid);
  expect(await leases(uuid)).toContain('mirror:vda exclusive copied');
  await ask(abortBlockJob, uuid, { disk: 'vda' });
  await booksAre(uuid, ['qcow2 copy-top', 'qcow2 copy-mid', 'raw copy-base']);
  // A copy as it was at that moment is what some want: it stays.
  expect(existsSync(file('copied'))).toBe(true);

  await expect(ask(copyBlocks, uuid, { disk: 'vda', xml: to('copied'), transientJob: true })).rejects.toMatchObject({
    code: 'CONFIG_UNSUPPORTED',
  });
  await ask(copyBlocks, uuid, { disk: 'vda', xml: to('second'), transientJob: true });
  await ready(uuid);
  await ask(abortBlockJob, uuid, { disk: 'vda', pivot: true });
  await booksAre(uuid, ['qcow2 second']);
  await ask(destroyDomain, uuid, {});
});

test('a copy that the guest has gone over to while storage could not read it is held for the guest', async () => {
  const copied = await guest('unread');
  const at = file('unread-copy');
  const xml = `<disk type='file'><driver type='qcow2'/><source file='${at}'/></disk>`;
  await ask(copyBlocks, copied, { disk: 'vda', xml, transientJob: true });
  await ready(copied);
  // As where a network file system does not answer for a moment.
  renameSync(at, `${at}-away`);
  await ask(abortBlockJob, copied, { disk: 'vda', pivot: true });
  await noJobs(copied);
  await eventually(
    () => leases(copied),
    (held) => held.includes('mirror:vda exclusive unread-copy'),
    { timeoutMs: 30_000 },
  );
  renameSync(`${at}-away`, at);
  await expect(stack.run(bus, { name: 'unread-other', devices: disk(at, 'qcow2') })).rejects.toMatchObject({
    code: 'IMAGE_IN_USE',
  });
  await booksAre(copied, ['qcow2 unread-copy']);
});

test('a copy whose driver is killed before there is a job of it holds nothing, and leaves no file', async () => {
  const uuid = await guest('halfway');
  const at = file('halfway-copy');
  const xml = `<disk type='file'><driver type='qcow2'/><source file='${at}'/></disk>`;
  const record = file(`state/hosts/h1/qemu/domains/${uuid}/record.json`);
  const pid = stack.pidOf(uuid);
  // It is asked for the node of the disk when all is held, and the job is not written down yet.
  process.kill(pid, 'SIGSTOP');
  try {
    const asked = ask(copyBlocks, uuid, { disk: 'vda', xml, transientJob: true }).catch((error: unknown) => error);
    await eventually(() => readFileSync(record, 'utf8').includes('mirror:vda'), true);
    expect(await leases(uuid)).toContain('mirror:vda exclusive halfway-copy');
    await stack.restartDriver('h1', async () => void process.kill(pid, 'SIGCONT'));
    await asked;
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await booksAre(uuid, ['qcow2 halfway-top', 'qcow2 halfway-mid', 'raw halfway-base']);
  await eventually(() => existsSync(at), false);
  await ask(copyBlocks, uuid, { disk: 'vda', xml, transientJob: true });
  await ready(uuid);
  await ask(destroyDomain, uuid, {});
});

test('of copies of one disk that are asked for at once one runs, and keeps what it writes to for itself', async () => {
  const uuid = await guest('race');
  const names = ['one', 'two', 'three'].map((name) => `race-${name}`);
  const xml = (name: string): string => `<disk type='file'><driver type='qcow2'/><source file='${file(name)}'/></disk>`;
  const asked = names.map((name) => ask(copyBlocks, uuid, { disk: 'vda', xml: xml(name), transientJob: true }));
  const done = await Promise.allSettled(asked);
  const [winner, ...others] = names.filter((_, n) => done[n]?.status === 'fulfilled');
  expect(others).toEqual([]);
  await ready(uuid);
  // The driver's next word to the books is that of what happens to it next.
  await ask(suspendDomain, uuid, {});
  await ask(resumeDomain, uuid, {});
  const mirrors = async () => (await leases(uuid)).filter((held) => held.startsWith('mirror'));
  await eventually(mirrors, [`mirror:vda exclusive ${winner}`]);
  await ask(abortBlockJob, uuid, { disk: 'vda', pivot: true });
  await booksAre(uuid, [`qcow2 ${winner}`]);
  await ask(destroyDomain, uuid, {});
});

test('the images of a snapshot are held, and what happened while storage was away is known when it is back', async () => {
  const uuid = await guest('snap');
  const xml = `<domainsnapshot><disks><disk name='vda' snapshot='external'><source file='${file('snap-new')}'/></disk></disks></domainsnapshot>`;
  await ask(createSnapshot, uuid, { xml, diskOnly: true, noMetadata: true });
  await booksAre(uuid, ['qcow2 snap-new', 'qcow2 snap-top', 'qcow2 snap-mid', 'raw snap-base']);
  await ask(pullBlocks, uuid, { disk: 'vda', base: file('snap-mid') });
  await stack.storages.get('h1')!.stop('SIGKILL');
  await noJobs(uuid);
  await stack.startStorage('h1');
  await booksAre(uuid, ['qcow2 snap-new', 'qcow2 snap-mid', 'raw snap-base']);
  await ask(destroyDomain, uuid, {});
});

test('a backup holds what it writes to until it has ended; what was written stays, what was only scratch goes', async () => {
  const uuid = await guest('saved');
  const into = (store: string, name: string): string => `<${store} file='${file(name)}'/>`;
  const backup = (mode: string, inner: string, server = ''): string =>
    `<domainbackup mode='${mode}'>${server}<disks><disk name='vda' backup='yes' type='file'>${inner}</disk></disks></domainbackup>`;
  const layers = ['qcow2 saved-top', 'qcow2 saved-mid', 'raw saved-base'];

  await ask(beginBackup, uuid, { xml: backup('push', into('target', 'saved-whole')) });
  await booksAre(uuid, layers);
  expect(existsSync(file('saved-whole'))).toBe(true);

  const server = `<server transport='tcp' name='127.0.0.1' port='${await freePort()}'/>`;
  await ask(beginBackup, uuid, { xml: backup('pull', into('scratch', 'saved-scratch'), server) });
  expect(await leases(uuid)).toContain('scratch:vda exclusive saved-scratch');
  await ask(abortJob, uuid, {});
  await booksAre(uuid, layers);
  await eventually(() => existsSync(file('saved-scratch')), false);
  await ask(destroyDomain, uuid, {});
});

test('a copy into a pool is a volume as soon as the guest stands on it, and cannot be deleted then', async () => {
  const uuid = await guest('pooled');
  await call(
    bus,
    createPool,
    { document: { type: 'dir', name: 'p', target: { path: file('pool') } }, build: 'new' },
    { target: 'h1' },
  );
  const path = file('pool/copy.qcow2');
  const xml = `<disk type='volume'><driver type='qcow2'/><source pool='p' volume='copy.qcow2'/></disk>`;
  await ask(copyBlocks, uuid, { disk: 'vda', xml, transientJob: true });
  await ready(uuid);
  await ask(abortBlockJob, uuid, { disk: 'vda', pivot: true });
  await booksAre(uuid, ['qcow2 copy.qcow2']);
  const volumes = async () => (await call(bus, listVolumes, { pool: 'p' }, { target: 'h1' })).volumes;
  await eventually(
    async () => (await volumes()).map(({ name, capacity }) => [name, capacity]),
    [['copy.qcow2', 4 * 1024 ** 2]],
  );
  const removal = call(bus, deleteVolume, { pool: 'p', volume: 'copy.qcow2' }, { target: 'h1' });
  await expect(removal).rejects.toMatchObject({
    code: 'IMAGE_IN_USE',
    message: `Requested operation is not valid: ${path} is in use: domain 'pooled'`,
  });
  await ask(destroyDomain, uuid, {});
});

test('a guest that goes back to a snapshot holds what it stands on then; one that is merged away is let go', async () => {
  const uuid = await guest('back');
  const xml = `<domainsnapshot><name>one</name><disks><disk name='vda' snapshot='external'><source file='${file('back-new')}'/></disk></disks></domainsnapshot>`;
  await ask(createSnapshot, uuid, { xml, diskOnly: true });
  await booksAre(uuid, ['qcow2 back-new', 'qcow2 back-top', 'qcow2 back-mid', 'raw back-base']);
  await ask(deleteSnapshot, uuid, { name: 'one' });
  await booksAre(uuid, ['qcow2 back-top', 'qcow2 back-mid', 'raw back-base']);
  await ask(createSnapshot, uuid, { xml: '<domainsnapshot><name>inside</name></domainsnapshot>' });
  await ask(revertSnapshot, uuid, { name: 'inside' });
  await booksAre(uuid, ['qcow2 back-top', 'qcow2 back-mid', 'raw back-base']);
  await ask(destroyDomain, uuid, {});
  await eventually(() => leases(uuid), [], { timeoutMs: 30_000 });
});

test('never did an image say otherwise than its document', async () => {
  const found: unknown[] = [];
  const types = new Set<string>();
  const filter = storageEventFilter({ entity: 'chain' });
  for await (const { event } of tailStorage(bus, { filter, since: 'all', once: true })) {
    types.add(event.type);
    if (event.type === 'mismatch') found.push(event.data);
  }
  expect(found).toEqual([]);
  expect([...types]).toEqual(['changed']);
});
