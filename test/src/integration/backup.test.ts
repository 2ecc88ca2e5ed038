/**
 * Backups of a guest that writes: what they hold is the guest's data of that moment, whole or since a checkpoint, and nothing of
 * them is left behind, whoever dies meanwhile.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  abortBlockJob,
  abortJob,
  beginBackup,
  commitBlocks,
  createCheckpoint,
  createSnapshot,
  deleteCheckpoint,
  deleteSnapshot,
  getBackupXml,
  getCheckpointXml,
  getJob,
  listBlockJobs,
  listCheckpoints,
  setBlockJobSpeed,
  undefineDomain,
  type JobInfo,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, freePort, needsProgram, needsRoot, Stack, temporaryFolder } from '@virtbus/testkit';
import { withMonitor } from '../block-stand/monitor';
import { faultsOf, lossesOfImage } from '../block-stand/sound';
import { WritingGuest } from '../block-stand/writing-guest';
import type { Flushed } from '../block-stand/content';
import { makeCertificates } from './certificates';
import { disk, qemuImg } from './storage-stand';

jest.setTimeout(240_000);

const mib = 1024 ** 2;
let stack: Stack;
let bus: Bus;
const folder = temporaryFolder();
const certificates = folder.file('certificates');
beforeAll(async () => {
  stack = await Stack.start({ env: { VIRTBUS_BACKUP_CERTIFICATES: certificates } });
  bus = await stack.connect();
});
afterAll(async () => {
  await stack?.[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const layerNames = (disk: string): string[] => [...[3, 2, 1].map((n) => `${disk}-${n}.qcow2`), `${disk}-0.img`];
const chains = { vda: layerNames('vda'), vdb: layerNames('vdb') };
const target = (guest: WritingGuest) => ({ target: guest.uuid });
const copyOf = (flushed: Flushed): Flushed => new Map([...flushed].map(([disk, slots]) => [disk, new Map(slots)]));

const jobOf = async (guest: WritingGuest): Promise<JobInfo> => (await call(bus, getJob, {}, target(guest))).job;
const lastOf = async (guest: WritingGuest): Promise<JobInfo> =>
  (await call(bus, getJob, { completed: true }, target(guest))).job;
const over = (guest: WritingGuest): Promise<unknown> =>
  eventually(async () => (await jobOf(guest)).type, 'none', { timeoutMs: 60_000 });

/** A push of both disks into files of this name in the guest's folder. */
function push(guest: WritingGuest, name: string, since?: string): string {
  const disks = ['vda', 'vdb'].map(
    (disk) => `<disk name='${disk}'><target file='${guest.file(`${name}-${disk}.qcow2`)}'/></disk>`,
  );
  const incremental = since === undefined ? '' : `<incremental>${since}</incremental>`;
  return `<domainbackup>${incremental}<disks>${disks.join('')}</disks></domainbackup>`;
}

const named = (name: string): string => `<domaincheckpoint><name>${name}</name></domaincheckpoint>`;

function pull(guest: WritingGuest, server: string, since?: string): string {
  const disks = ['vda', 'vdb'].map(
    (disk) => `<disk name='${disk}'><scratch file='${guest.file(`scratch-${disk}.qcow2`)}'/></disk>`,
  );
  const incremental = since === undefined ? '' : `<incremental>${since}</incremental>`;
  return `<domainbackup mode='pull'>${incremental}${server}<disks>${disks.join('')}</disks></domainbackup>`;
}

test('a full push and the changes since: together they are the disks of that moment', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'pushes' });
  await guest.flushesMore(20);
  const first = copyOf(guest.flushed);
  await call(bus, beginBackup, { xml: push(guest, 'full'), checkpoint: named('monday') }, target(guest));
  await over(guest);
  expect(await lastOf(guest)).toMatchObject({ type: 'completed', operation: 'backup', remaining: 0 });
  for (const disk of ['vda', 'vdb']) {
    expect(lossesOfImage(guest, disk, guest.file(`full-${disk}.qcow2`), 'qcow2', first)).toEqual([]);
  }

  await guest.flushesMore(40);
  const second = copyOf(guest.flushed);
  const since = { xml: push(guest, 'since', 'monday'), checkpoint: named('tuesday') };
  await call(bus, beginBackup, since, target(guest));
  await over(guest);
  for (const disk of ['vda', 'vdb']) {
    const [full, changes] = [guest.file(`full-${disk}.qcow2`), guest.file(`since-${disk}.qcow2`)];
    // Only what has changed is in it: alone it lacks what the guest never wrote.
    expect(lossesOfImage(guest, disk, changes, 'qcow2', new Map())).not.toEqual([]);
    qemuImg('rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', full, changes);
    expect(lossesOfImage(guest, disk, changes, 'qcow2', second)).toEqual([]);
  }
  const { checkpoints } = await call(bus, listCheckpoints, {}, target(guest));
  expect(checkpoints).toMatchObject([
    { name: 'monday', disks: ['vda', 'vdb'], current: false, children: ['tuesday'] },
    { name: 'tuesday', parent: 'monday', current: true, children: [] },
  ]);
  const { xml } = await call(
    bus,
    getCheckpointXml,
    { name: 'monday', sizes: true, withoutDomain: true },
    target(guest),
  );
  expect(xml).toMatch(/<disk name='vda' checkpoint='bitmap' bitmap='monday' size='[1-9]\d+'\/>/);

  const events = (await stack.events(bus, guest.uuid)).map(({ class: of, type }) => `${of}.${type}`);
  expect(events.filter((event) => event.startsWith('job.'))).toEqual(['job.completed', 'job.completed']);
  expect(events.filter((event) => event === 'block-job.completed')).toHaveLength(4);
  await call(bus, deleteCheckpoint, { name: 'monday' }, target(guest));
  await expect(call(bus, beginBackup, { xml: push(guest, 'x', 'monday') }, target(guest))).rejects.toMatchObject({
    code: 'NO_DOMAIN_CHECKPOINT',
  });
  const made = ['vda', 'vdb'].flatMap((disk) => [`full-${disk}.qcow2`, `since-${disk}.qcow2`]);
  expect(await faultsOf(guest, { chains, besides: made, bitmaps: ['tuesday'] })).toEqual([]);
  await expect(call(bus, undefineDomain, {}, target(guest))).rejects.toMatchObject({
    message: expect.stringContaining('cannot delete inactive domain with 1 checkpoints') as string,
  });
  await call(bus, undefineDomain, { checkpointsMetadata: true }, target(guest));
});

test('a checkpoint goes along with a snapshot and a commit: the changes since it are all of them', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'carried' });
  await call(bus, createCheckpoint, { xml: named('start') }, target(guest));
  const before = { xml: push(guest, 'full'), checkpoint: named('base') };
  await call(bus, beginBackup, before, target(guest));
  await over(guest);
  await guest.flushesMore(20);
  const overlays = ['vda', 'vdb'].map(
    (disk) => `<disk name='${disk}'><source file='${guest.file(`${disk}.over`)}'/></disk>`,
  );
  const xml = `<domainsnapshot><name>s</name><disks>${overlays.join('')}</disks></domainsnapshot>`;
  await call(bus, createSnapshot, { xml, diskOnly: true, noMetadata: true }, target(guest));
  await guest.flushesMore(20);
  // Of both images: the lower one is opened for writing for the time that it takes.
  await call(bus, deleteCheckpoint, { name: 'start' }, target(guest));
  await call(bus, commitBlocks, { disk: 'vda', shallow: true, active: true }, target(guest));
  const stateOf = async () => (await call(bus, listBlockJobs, { disk: 'vda' }, target(guest))).jobs[0]?.state;
  await eventually(stateOf, 'ready', { timeoutMs: 60_000 });
  await guest.flushesMore(20);
  await call(bus, abortBlockJob, { disk: 'vda', pivot: true }, target(guest));
  await guest.flushesMore(20);
  const flushed = copyOf(guest.flushed);
  await call(bus, beginBackup, { xml: push(guest, 'since', 'base') }, target(guest));
  await over(guest);
  for (const disk of ['vda', 'vdb']) {
    const changes = guest.file(`since-${disk}.qcow2`);
    qemuImg('rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', guest.file(`full-${disk}.qcow2`), changes);
    expect(lossesOfImage(guest, disk, changes, 'qcow2', flushed)).toEqual([]);
  }
  await call(bus, deleteCheckpoint, { name: 'base' }, target(guest));
  const made = ['vda', 'vdb'].flatMap((disk) => [`full-${disk}.qcow2`, `since-${disk}.qcow2`, `${disk}.over`]);
  const now = { vda: layerNames('vda'), vdb: ['vdb.over', ...layerNames('vdb')] };
  expect(await faultsOf(guest, { chains: now, besides: made })).toEqual([]);
});

/** A disk-only snapshot of both disks into `<disk>.<name>`. */
async function snapshot(guest: WritingGuest, name: string): Promise<void> {
  const overlays = ['vda', 'vdb'].map(
    (disk) => `<disk name='${disk}'><source file='${guest.file(`${disk}.${name}`)}'/></disk>`,
  );
  const xml = `<domainsnapshot><name>${name}</name><disks>${overlays.join('')}</disks></domainsnapshot>`;
  await call(bus, createSnapshot, { xml, diskOnly: true }, target(guest));
}

/** What the full backup and the changes since it lack of what the guest has flushed by now. */
async function lossesSince(guest: WritingGuest, name: string, disks: readonly string[]): Promise<string[]> {
  const flushed = copyOf(guest.flushed);
  const elements = ['vda', 'vdb'].map((disk) => {
    const file = `<target file='${guest.file(`since-${disk}.qcow2`)}'/>`;
    return disks.includes(disk) ? `<disk name='${disk}'>${file}</disk>` : `<disk name='${disk}' backup='no'/>`;
  });
  const xml = `<domainbackup><incremental>${name}</incremental><disks>${elements.join('')}</disks></domainbackup>`;
  await call(bus, beginBackup, { xml }, target(guest));
  await over(guest);
  return disks.flatMap((disk) => {
    const changes = guest.file(`since-${disk}.qcow2`);
    qemuImg('rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', guest.file(`full-${disk}.qcow2`), changes);
    return lossesOfImage(guest, disk, changes, 'qcow2', flushed);
  });
}

test('a checkpoint of several images is deleted after the guest was off, and their files are whose they were', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'deleted' });
  await call(bus, createCheckpoint, { xml: named('c1') }, target(guest));
  await snapshot(guest, 'above');
  await guest.destroy();
  const owner = (): number => statSync(guest.file('vda-3.qcow2')).uid;
  const before = owner();
  await guest.boot();
  const reading = owner();
  await call(bus, deleteCheckpoint, { name: 'c1' }, target(guest));
  expect(owner()).toBe(reading);
  await guest.flushesMore(10);
  const now = { vda: ['vda.above', ...layerNames('vda')], vdb: ['vdb.above', ...layerNames('vdb')] };
  expect(await faultsOf(guest, { chains: now })).toEqual([]);
  expect(owner()).toBe(before);
});

/** A full backup with a checkpoint, then writes on the image that was active, and on one above it. */
async function markedTwice(guest: WritingGuest, name: string): Promise<void> {
  await call(bus, beginBackup, { xml: push(guest, 'full'), checkpoint: named(name) }, target(guest));
  await over(guest);
  await guest.flushesMore(20);
  await snapshot(guest, 'above');
  await guest.flushesMore(20);
}

test('a checkpoint goes along with a middle image into one that takes bitmaps, and is refused after a merge into one that takes none', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'middle' });
  await markedTwice(guest, 'c1');
  for (const [disk, depth] of [
    ['vda', 2],
    ['vdb', 4],
  ] as const) {
    const merge = { disk, top: await guest.layer(disk, 1), base: await guest.layer(disk, depth) };
    await call(bus, commitBlocks, merge, target(guest));
    const jobs = async () => (await call(bus, listBlockJobs, { disk }, target(guest))).jobs;
    await eventually(jobs, [], { timeoutMs: 60_000 });
  }
  // A bitmap of an image that is only read is lost when the guest ends, without a word.
  await guest.destroy();
  await guest.boot();
  await expect(call(bus, beginBackup, { xml: push(guest, 'since', 'c1') }, target(guest))).rejects.toMatchObject({
    code: 'CHECKPOINT_INCONSISTENT',
    message: expect.stringContaining("missing or broken bitmap 'c1' for disk 'vdb'") as string,
  });
  expect(await lossesSince(guest, 'c1', ['vda'])).toEqual([]);
  await call(bus, deleteCheckpoint, { name: 'c1' }, target(guest));
  const now = { vda: ['vda.above', ...layerNames('vda').slice(1)], vdb: ['vdb.above', 'vdb-0.img'] };
  const besides = ['since-vda', 'full-vda', 'full-vdb', 'vda-3', 'vdb-3', 'vdb-2', 'vdb-1'].map(
    (name) => `${name}.qcow2`,
  );
  expect(await faultsOf(guest, { chains: now, besides })).toEqual([]);
});

test('a checkpoint goes along with a middle image that is merged while the guest is off', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'offline' });
  await snapshot(guest, 'marked');
  await markedTwice(guest, 'c1');
  await guest.destroy();
  await call(bus, deleteSnapshot, { name: 'marked' }, target(guest));
  await guest.boot();
  expect(await lossesSince(guest, 'c1', ['vda', 'vdb'])).toEqual([]);
  await call(bus, deleteCheckpoint, { name: 'c1' }, target(guest));
  const now = { vda: ['vda.above', ...layerNames('vda')], vdb: ['vdb.above', ...layerNames('vdb')] };
  const besides = ['vda', 'vdb'].flatMap((disk) => [`since-${disk}.qcow2`, `full-${disk}.qcow2`]);
  expect(await faultsOf(guest, { chains: now, besides })).toEqual([]);
});

test('a pull can be read over NBD while the guest writes on, also after the driver was killed, until it is aborted', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'pulled' });
  await call(bus, createCheckpoint, { xml: named('before') }, target(guest));
  await guest.flushesMore(20);
  const before = copyOf(guest.flushed);
  const port = await freePort();
  const server = `<server transport='tcp' name='127.0.0.1' port='${port}'/>`;
  await call(bus, beginBackup, { xml: pull(guest, server, 'before') }, target(guest));
  const running = await call(bus, getBackupXml, {}, target(guest));
  expect(running.xml).toContain(
    "<disk name='vda' backup='yes' type='file' backupmode='incremental' incremental='before' exportname='vda' exportbitmap='backup-vda'>",
  );
  await guest.flushesMore(20);
  await stack.restartDriver('h1');
  await guest.flushesMore(20);
  expect(await jobOf(guest)).toMatchObject({ type: 'bounded', operation: 'backup' });
  await expect(call(bus, beginBackup, {}, target(guest))).rejects.toMatchObject({
    code: 'OPERATION_INVALID',
    message: expect.stringContaining('another backup job is already running') as string,
  });
  for (const disk of ['vda', 'vdb']) {
    const seen = stack.folder.file(`pulled-${disk}.qcow2`);
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', `nbd://127.0.0.1:${port}/${disk}`, seen);
    expect(lossesOfImage(guest, disk, seen, 'qcow2', before)).toEqual([]);
    const map = dirtyOf(`nbd://127.0.0.1:${port}/${disk}`, `backup-${disk}`);
    expect(map.some(({ data }) => !data)).toBe(true);
  }
  await call(bus, abortJob, {}, target(guest));
  await over(guest);
  expect(await lastOf(guest)).toMatchObject({ type: 'completed', operation: 'backup' });
  await expect(call(bus, getBackupXml, {}, target(guest))).rejects.toMatchObject({ code: 'NO_DOMAIN_BACKUP' });
  expect(await faultsOf(guest, { chains, bitmaps: ['before'] })).toEqual([]);
});

test('a pull that nobody can read any more when its driver comes back has failed, with the reason; nothing of it stays', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'unreadable' });
  await call(bus, createCheckpoint, { xml: named('before') }, target(guest));
  const server = `<server transport='tcp' name='127.0.0.1' port='${await freePort()}'/>`;
  await call(bus, beginBackup, { xml: pull(guest, server, 'before') }, target(guest));
  await stack.restartDriver('h1', async () => {
    // As one that died before the disks were offered.
    const path = stack.folder.file('state', 'hosts', 'h1', 'qemu', 'domains', guest.uuid, 'record.json');
    const record = JSON.parse(readFileSync(path, 'utf8')) as { guest: { backup: { begun: boolean } } };
    record.guest.backup.begun = false;
    writeFileSync(path, JSON.stringify(record));
    await withMonitor(stack, 'h1', async (ask) => void (await ask('nbd-server-stop')));
  });
  await over(guest);
  expect(await lastOf(guest)).toMatchObject({
    ...{ type: 'failed', operation: 'backup' },
    error: expect.stringContaining('NBD server not running') as string,
  });
  expect(await faultsOf(guest, { chains, bitmaps: ['before'] })).toEqual([]);
});

needsProgram('openssl').test('a pull with TLS can be read by who shows a certificate, and by nobody else', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'sealed' });
  await guest.flushesMore(8);
  const before = copyOf(guest.flushed);
  const port = await freePort();
  const xml = pull(guest, `<server transport='tcp' tls='yes' name='127.0.0.1' port='${port}'/>`);
  const beginAt = (xml: string) => call(bus, beginBackup, { xml }, target(guest));
  await expect(beginAt(xml)).rejects.toMatchObject({
    message: `unsupported configuration: TLS certificate ${certificates}/ca-cert.pem is missing; name another folder, or make it`,
  });
  expect(readdirSync(guest.folder).filter((name) => name.startsWith('scratch'))).toEqual([]);

  makeCertificates(certificates, '127.0.0.1');
  // What fails after QEMU has read them leaves nothing in the way of the next: the address is nobody's here.
  await expect(beginAt(xml.replace('127.0.0.1', '192.0.2.1'))).rejects.toMatchObject({ code: 'OPERATION_FAILED' });
  await beginAt(xml);
  await stack.restartDriver('h1');
  const seen = stack.folder.file('sealed.qcow2');
  const read = (...more: string[]): string => {
    const [object = '', ...options] = more;
    const image = ['driver=nbd', 'export=vda', 'host=127.0.0.1', `port=${port}`, ...options].join();
    return qemuImg('convert', ...(object ? ['--object', object] : []), '--image-opts', '-O', 'qcow2', image, seen);
  };
  const credentials = (of: string): string => `tls-creds-x509,id=tls0,endpoint=client,dir=${of}`;
  const stranger = makeCertificates(folder.file('stranger'), '127.0.0.1');
  expect(() => read()).toThrow(/TLS/);
  expect(() => read(credentials(stranger), 'tls-creds=tls0')).toThrow(/certificate/);
  read(credentials(certificates), 'tls-creds=tls0');
  expect(lossesOfImage(guest, 'vda', seen, 'qcow2', before)).toEqual([]);
  await call(bus, abortJob, {}, target(guest));
  await over(guest);
  // Once more: neither server nor credentials of the last one are left.
  await beginAt(xml);
  await call(bus, abortJob, {}, target(guest));
  await over(guest);
  expect(await faultsOf(guest, { chains })).toEqual([]);
});

/** Ranges of an export; without data are those that the bitmap marks, as qemu-img shows it. */
function dirtyOf(url: string, bitmap: string): { data: boolean; length: number }[] {
  const [, host, port, name] = /^nbd:\/\/([^:]+):(\d+)\/(.*)$/.exec(url)!;
  const options = [
    ...['driver=nbd', `export=${name}`, 'server.type=inet', `server.host=${host}`, `server.port=${port}`],
    `x-dirty-bitmap=qemu:dirty-bitmap:${bitmap}`,
  ];
  const told = execFileSync('qemu-img', ['map', '--output=json', '--image-opts', options.join(',')], {
    encoding: 'utf8',
  });
  return JSON.parse(told) as { data: boolean; length: number }[];
}

/** A backup that is under way, and will be for minutes: one that could not be slowed down before it was as good as done is made again. */
async function beginSlowly(
  guest: WritingGuest,
  { xml, name, copy }: { xml: string; name: string; copy: string },
): Promise<void> {
  for (let attempt = 1; attempt <= 10; attempt++) {
    await call(bus, beginBackup, { xml }, target(guest));
    const slow = call(bus, setBlockJobSpeed, { disk: name, bandwidth: mib / 16 }, target(guest));
    const isSlow = await slow.then(
      () => true,
      () => false,
    );
    // What QEMU is copying already, 64 pieces of 1 MiB at most, no limit holds up.
    if (isSlow && ((await jobOf(guest)).remaining ?? 0) > 128 * mib) return;
    await call(bus, abortJob, {}, target(guest)).catch(() => undefined);
    await over(guest);
    rmSync(copy, { force: true });
  }
  throw new Error(`a backup of disk ${name} is always done before it can be slowed down`);
}

test('a push goes on when the driver is killed, and is gone when it is aborted', async () => {
  const large = stack.folder.file('large.img');
  writeFileSync(large, Buffer.alloc(256 * mib, 'a block of a large disk\n'), { mode: 0o644 });
  const devices = disk(large, 'raw', '', 'vdc');
  const guest = await WritingGuest.start(stack, bus, { name: 'aborted', devices });
  const copy = guest.file('large.qcow2');
  const xml = `<domainbackup><disks><disk name='vdc'><target file='${copy}'/></disk></disks></domainbackup>`;
  await beginSlowly(guest, { xml, name: 'vdc', copy });
  await stack.restartDriver('h1');
  const progress = await jobOf(guest);
  expect(progress).toMatchObject({ type: 'bounded', operation: 'backup', total: 256 * mib });
  expect(existsSync(copy)).toBe(true);
  await call(bus, abortJob, {}, target(guest));
  await over(guest);
  expect(await lastOf(guest)).toMatchObject({ type: 'cancelled', operation: 'backup' });
  expect(existsSync(copy)).toBe(false);
  await call(bus, beginBackup, { xml }, target(guest));
  await over(guest);
  await guest.remove();
});

needsRoot().test(
  'an image in a block device that is there to be reused is written into, and not made anew',
  async () => {
    const guest = await WritingGuest.start(stack, bus, { name: 'reuses' });
    const lies = stack.folder.file('reused.img');
    qemuImg('create', '-q', '-f', 'raw', lies, '32M');
    const path = execFileSync('losetup', ['--find', '--show', lies], { encoding: 'utf8' }).trim();
    const clusterSize = (): unknown =>
      (JSON.parse(qemuImg('info', '-U', '--output=json', '-f', 'qcow2', path)) as Record<string, unknown>)[
        'cluster-size'
      ];
    try {
      qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4096', path, '8M');
      await guest.flushesMore(20);
      const flushed = copyOf(guest.flushed);
      const to = `<disk name='vda' type='block'><driver type='qcow2'/><target dev='${path}'/></disk>`;
      const xml = `<domainbackup><disks>${to}<disk name='vdb' backup='no'/></disks></domainbackup>`;
      await call(bus, beginBackup, { xml, reuseExternal: true }, target(guest));
      await over(guest);
      expect(await lastOf(guest)).toMatchObject({ type: 'completed' });
      expect(clusterSize()).toBe(4096);
      expect(lossesOfImage(guest, 'vda', path, 'qcow2', flushed)).toEqual([]);
      // Without that word there is nothing in it that counts.
      await call(bus, beginBackup, { xml }, target(guest));
      await over(guest);
      expect(clusterSize()).toBe(65_536);
      expect(await faultsOf(guest, { chains })).toEqual([]);
    } finally {
      for (const pid of stack.guestPids()) process.kill(pid, 'SIGKILL');
      await eventually(() => stack.guestPids().length, 0, { timeoutMs: 20_000 });
      execFileSync('losetup', ['--detach', path]);
    }
  },
);

needsRoot().test(
  'a target without room ends the backup of all disks, with the reason; the guest writes on',
  async () => {
    const guest = await WritingGuest.start(stack, bus, { name: 'full' });
    const small = stack.folder.file('small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=755', 'none', small]);
    try {
      const files = [join(small, 'vda.qcow2'), guest.file('copy.qcow2')];
      const disks = ['vda', 'vdb'].map((name, at) => `<disk name='${name}'><target file='${files[at]}'/></disk>`);
      await call(
        bus,
        beginBackup,
        { xml: `<domainbackup><disks>${disks.join('')}</disks></domainbackup>` },
        target(guest),
      );
      await over(guest);
      expect(await lastOf(guest)).toMatchObject({ type: 'failed', error: 'No space left on device' });
      expect(existsSync(files[0]!)).toBe(false);
      expect(await faultsOf(guest, { chains, besides: ['copy.qcow2'] })).toEqual([]);
    } finally {
      execFileSync('umount', ['-l', small]);
    }
  },
);

test('a guest that dies takes its backup along, and nothing of it stays', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'dies' });
  // QEMU makes its socket as the user that guests run as.
  const folder = stack.folder.file('sockets');
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  const socket = join(folder, 'dies.nbd');
  const server = `<server transport='unix' socket='${socket}'/>`;
  await call(bus, beginBackup, { xml: pull(guest, server), checkpoint: named('lost') }, target(guest));
  expect(existsSync(guest.file('scratch-vda.qcow2'))).toBe(true);
  process.kill(stack.pidOf(guest.uuid), 'SIGKILL');
  await eventually(async () => (await stack.state(bus, guest.uuid)).split('(')[0], 'shutoff', { timeoutMs: 30_000 });
  expect(await lastOf(guest)).toMatchObject({ type: 'failed', operation: 'backup', error: 'the guest has ended' });
  expect(existsSync(socket)).toBe(false);
  expect(readdirSync(guest.folder).filter((name) => name.startsWith('scratch'))).toEqual([]);

  // QEMU had no time to keep its bitmap: who builds on it is told, and nothing is begun.
  await guest.boot();
  const since = call(bus, beginBackup, { xml: push(guest, 'since', 'lost') }, target(guest));
  await expect(since).rejects.toMatchObject({
    code: 'CHECKPOINT_INCONSISTENT',
    message: expect.stringContaining("missing or broken bitmap 'lost' for disk 'vda'") as string,
  });
  expect(readdirSync(guest.folder).filter((name) => name.startsWith('since'))).toEqual([]);
  await call(bus, deleteCheckpoint, { name: 'lost' }, target(guest));
  expect(await faultsOf(guest, { chains, leaks: true })).toEqual([]);
});

test('what cannot be backed up is refused, and leaves no file', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'refused' });
  const taken = guest.file('vda-1.qcow2');
  const refusals: [xml: string, says: string][] = [
    ["<domainbackup><disks><disk name='vdz'/></disks></domainbackup>", "no disk named 'vdz'"],
    [`<domainbackup><disks><disk name='vda'><target file='${taken}'/></disk></disks></domainbackup>`, 'already exists'],
    ["<domainbackup mode='pull'/>", 'needs a <server>'],
    ['<domainbackup', 'not well formed'],
    [pull(guest, "<server transport='unix' socket='/nowhere/at/all'/>"), '/nowhere/at/all'],
  ];
  for (const [xml, says] of refusals) {
    await expect(call(bus, beginBackup, { xml }, target(guest))).rejects.toMatchObject({
      message: expect.stringContaining(says) as string,
    });
  }
  // Its bitmaps are there, and its jobs run, when the second disk's name is found to be taken.
  const server = `<server transport='unix' socket='${guest.file('twice.sock')}'/>`;
  const twice = pull(guest, server).replaceAll('<disk name=', "<disk exportname='same' name=");
  const marked = { xml: twice, checkpoint: named('nothing') };
  await expect(call(bus, beginBackup, marked, target(guest))).rejects.toMatchObject({ code: 'OPERATION_FAILED' });
  expect((await call(bus, listCheckpoints, {}, target(guest))).checkpoints).toEqual([]);
  await call(bus, createCheckpoint, { xml: named('nothing') }, target(guest));
  await call(bus, deleteCheckpoint, { name: 'nothing' }, target(guest));
  await expect(call(bus, createCheckpoint, { xml: named('../x') }, target(guest))).rejects.toMatchObject({
    code: 'XML_INVALID_SCHEMA',
  });
  await expect(call(bus, abortJob, {}, target(guest))).rejects.toMatchObject({ code: 'OPERATION_INVALID' });
  expect(await jobOf(guest)).toMatchObject({ type: 'none' });
  expect(await faultsOf(guest, { chains })).toEqual([]);
  await expect(call(bus, createCheckpoint, {}, target(guest))).rejects.toMatchObject({
    message: expect.stringContaining('cannot create checkpoint for inactive domain') as string,
  });
  await expect(call(bus, beginBackup, {}, target(guest))).rejects.toMatchObject({ code: 'OPERATION_INVALID' });
});
