/** What the two hosts of a migration do, asked step by step as the migration service asks them. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  destroyDomain,
  migrationBegin,
  migrationStatus,
  migrationUndo,
  resizeDisk,
  resumeDomain,
  startDomain,
  suspendDomain,
  type MigrationView,
} from '@virtbus/shared';
import { call, callDriver } from '@virtbus/shared/bus';
import { eventually, freePort, needsProgram, Stack, startProcess } from '@virtbus/testkit';
import { disk, qemuImg } from './storage-stand';
import { arrive, confirm, env, finish, move, perform, qemu, upToPrepared, type Move } from './host-moves';

jest.setTimeout(300_000);

const states = async (stack: Stack, host: string): Promise<string[]> =>
  (await stack.inventory(host)).map(({ name, state, epoch }) => `${name} ${state} ${epoch}`);

test('a guest moves to another host and back, and is on one of them at any time', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const { uuid, epoch } = await stack.run(await stack.connect(), { name: 'web1', host: 'h1', linux: true });
  const there = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 });
  const prepared = await upToPrepared(bus, there);
  expect(prepared).toMatchObject({ phase: 'prepared', uri: expect.stringMatching(/^tcp:127\.0\.0\.1:\d+$/) });
  expect(await states(stack, 'h2')).toEqual([]); // it lives at h1 until it has arrived
  const performed = await perform(bus, there, prepared);
  expect(performed).toMatchObject({ phase: 'performed', guest: { state: 'paused', reason: 'migration' } });
  await finish(bus, there, performed);
  expect([await states(stack, 'h1'), await states(stack, 'h2')]).toEqual([[], [`web1 running ${epoch + 1}`]]);

  const back = move({ uuid, name: 'web1', from: 'h2', to: 'h1', epoch: epoch + 2 });
  await finish(bus, back, await perform(bus, back, await upToPrepared(bus, back)));
  expect([await states(stack, 'h1'), await states(stack, 'h2')]).toEqual([[`web1 running ${epoch + 2}`], []]);
  expect(stack.guestPids()).toHaveLength(1);
});

test('what was begun is taken back from every phase, and the guest runs on', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const user = await stack.connect();
  const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1' });
  const undo = async ({ id }: Move): Promise<string[]> => {
    const target = await callDriver(bus, qemu('h2'), migrationUndo, { id, role: 'target' }, { domain: uuid });
    const ask = { id, role: 'source' as const, targetUndone: target.phase === 'undone' };
    const source = await callDriver(bus, qemu('h1'), migrationUndo, ask, { domain: uuid });
    return [source.phase, target.phase];
  };
  const spec = { uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 };
  const early = move(spec);
  expect(await undo(early)).toEqual(['undone', 'undone']);
  const waiting = move(spec);
  await upToPrepared(bus, waiting);
  expect(await undo(waiting)).toEqual(['undone', 'undone']);
  const sent = move(spec);
  expect(await perform(bus, sent, await upToPrepared(bus, sent))).toMatchObject({ phase: 'performed' });
  // It may run there: without the target's word it stays as it is.
  const ask = { id: sent.id, role: 'source' as const };
  expect(await callDriver(bus, qemu('h1'), migrationUndo, ask, { domain: uuid })).toMatchObject({ phase: 'performed' });
  expect(await undo(sent)).toEqual(['undone', 'undone']);
  await eventually(() => stack.state(user, uuid), 'running(migration-canceled)');
  expect(stack.guestPids()).toHaveLength(1);
});

test('a guest that was paused when its migration was taken back writes to its disks again, and moves once it has run', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const user = await stack.connect();
  const path = stack.folder.file('paused.qcow2');
  qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1', devices: disk(path, 'qcow2') });
  await call(user, suspendDomain, {}, { target: uuid });
  const spec = { uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 };
  const sent = move(spec, { unsafe: true });
  const { id } = sent;
  await perform(bus, sent, await upToPrepared(bus, sent));
  await callDriver(bus, qemu('h2'), migrationUndo, { id, role: 'target' }, { domain: uuid });
  await callDriver(bus, qemu('h1'), migrationUndo, { id, role: 'source', targetUndone: true }, { domain: uuid });
  await call(user, resizeDisk, { disk: 'vda', bytes: 32 * 1024 * 1024 }, { target: uuid });
  expect(await stack.state(user, uuid)).toBe('paused(user)');
  const again = move(spec, { unsafe: true });
  await expect(upToPrepared(bus, again)).rejects.toMatchObject({
    code: 'OPERATION_INVALID',
    message: expect.stringContaining('resume it first') as string,
  });
  await call(user, resumeDomain, {}, { target: uuid });
  await call(user, suspendDomain, {}, { target: uuid });
  const last = move({ ...spec, epoch: epoch + 2 }, { unsafe: true });
  await finish(bus, last, await perform(bus, last, await upToPrepared(bus, last)));
  expect([stack.pidsOn('h1', uuid).length, stack.pidsOn('h2', uuid).length]).toEqual([0, 1]);
});

test('killed drivers find out how far a migration got', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const user = await stack.connect();
  const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1' });
  const one = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 });
  const prepared = await upToPrepared(bus, one);
  await stack.restartDriver('h2');
  const status = (host: string, role: 'source' | 'target'): Promise<MigrationView> =>
    callDriver(bus, qemu(host), migrationStatus, { id: one.id, role }, { domain: uuid });
  expect(await status('h2', 'target')).toMatchObject({ phase: 'prepared' });
  await stack.restartDriver('h1');
  expect(await status('h1', 'source')).toMatchObject({ phase: 'begun' });
  const performed = await perform(bus, one, prepared);
  await stack.restartDriver('h1');
  expect(await status('h1', 'source')).toMatchObject({ phase: 'performed', guest: { state: 'paused' } });
  await stack.restartDriver('h2');
  expect(await status('h2', 'target')).toMatchObject({ phase: 'prepared' });
  await finish(bus, one, performed);
  await eventually(() => states(stack, 'h2'), [`web1 running ${epoch + 1}`]);
});

/** What the driver of a host has written down of a migration, as the one that is gone has left it. */
function rewrite(
  stack: Stack,
  host: string,
  { id, uuid }: Move,
  change: { book?: object | null; record?: object },
): void {
  const state = join(stack.folder.path, 'state', 'hosts', host, 'qemu');
  const [book, record] = [join(state, 'migrations', `${id}.target.json`), join(state, 'domains', uuid, 'record.json')];
  for (const [path, what] of [[book, change.book] as const, [record, change.record] as const]) {
    if (what === null) rmSync(path);
    else if (what)
      writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...what }));
  }
}

test('a target that dies before its book says that the guest is here has told of it, once, and keeps what it was defined as', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const user = await stack.connect();
  const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1' });
  const one = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, { persist: true });
  const performed = await perform(bus, one, await upToPrepared(bus, one));
  const arrived = await arrive(bus, one, performed);
  expect(arrived.phase).toBe('finished');
  const told = async (): Promise<string[]> =>
    (await stack.events(user, uuid))
      .filter(({ host }) => host === 'h2')
      .map(({ type, detail }) => `${type}(${detail})`);
  const before = await told();
  expect(before).toContain('started(migrated)');
  const cookie = Buffer.from(performed.cookie!).toString('base64');
  await stack.restartDriver('h2', async () => rewrite(stack, 'h2', one, { book: { phase: 'finishing', cookie } }));
  const again = await arrive(bus, one, performed);
  expect(again).toMatchObject({ phase: 'finished', memory: 'whole' });
  expect((await confirm(bus, one, again)).phase).toBe('confirmed');
  expect(await told()).toEqual(before);
  await call(user, destroyDomain, {}, { target: uuid });
  expect(await states(stack, 'h2')).toEqual([`web1 shutoff ${epoch + 1}`]);
});

test('a guest that ended on its target before that could tell of it has ended there, and its source lets go of it', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const user = await stack.connect();
  const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1' });
  const source = stack.pidOf(uuid);
  const one = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, { persist: true });
  const performed = await perform(bus, one, await upToPrepared(bus, one));
  await arrive(bus, one, performed);
  const cookie = Buffer.from(performed.cookie!).toString('base64');
  await stack.restartDriver('h2', async () => {
    rewrite(stack, 'h2', one, { book: { phase: 'finishing', cookie } });
    for (const pid of stack.guestPids()) if (pid !== source) process.kill(pid, 'SIGKILL');
    await eventually(() => stack.guestPids().length, 1);
  });
  const ended = await arrive(bus, one, performed);
  expect(ended).toMatchObject({ phase: 'finished', memory: 'whole' });
  expect((await confirm(bus, one, ended)).phase).toBe('confirmed');
  expect(stack.guestPids()).toEqual([]);
  expect(await states(stack, 'h2')).toEqual([`web1 shutoff ${epoch + 1}`]);
});

/** Whether the one who listened there has a connection that it has not closed. */
function isConnected(uri: string): boolean {
  const port = Number(uri.slice(uri.lastIndexOf(':') + 1))
    .toString(16)
    .toUpperCase()
    .padStart(4, '0');
  const [established, closedByPeer] = ['01', '08'];
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .some(([, local, , state]) => local?.endsWith(`:${port}`) && (state === established || state === closedByPeer));
}

for (const what of ['lives', 'is killed'])
  needsProgram('qemu-nbd').test(
    `a guest whose target does not say that it runs is not taken back to its source: its driver ${what}`,
    async () => {
      await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
      const bus = await stack.connect('service');
      const user = await stack.connect();
      const image = stack.folder.file('served.qcow2');
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '16M']);
      const port = String(await freePort());
      const words = ['qemu-nbd', '-t', '-e', '9', '-b', '127.0.0.1', '-p', port, '-x', 'disk', '-f', 'raw', image];
      await using server = await startProcess(words as [string, ...string[]], { name: 'qemu-nbd' });
      const url = `nbd://127.0.0.1:${port}/disk`;
      const isServed = (): boolean => execFileSync('qemu-img', ['info', url], { encoding: 'utf8' }).includes('16 MiB');
      await eventually(isServed, true);
      const host = `<host name='127.0.0.1' port='${port}'/>`;
      const devices = `<disk type='network' device='disk'><driver name='qemu' type='qcow2'/><source protocol='nbd' name='disk'>${host}</source><backingStore/><target dev='vda' bus='virtio'/></disk>`;
      const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1', devices });
      const one = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 });
      const prepared = await upToPrepared(bus, one);
      const performed = await perform(bus, one, prepared);
      // Its source has sent all; what its target makes of the last words may ask the disk, too.
      await eventually(() => isConnected(prepared.uri!), false);
      // What it opens to run is on a disk that does not answer.
      process.kill(server.pid, 'SIGSTOP');
      const arrived = arrive(bus, one, performed).catch((error: unknown) => error);
      if (what === 'is killed') {
        const book = join(stack.folder.path, 'state/hosts/h2/qemu/migrations', `${one.id}.target.json`);
        await eventually(() => readFileSync(book, 'utf8').includes('"mayRun":true'), true);
        await stack.restartDriver('h2');
      } else expect(await arrived).toMatchObject({ code: 'OPERATION_TIMEOUT' });
      const asked = { id: one.id, role: 'target' as const };
      expect(await callDriver(bus, qemu('h2'), migrationUndo, asked, { domain: uuid })).toMatchObject({
        phase: 'finishing',
      });
      expect(stack.guestPids()).toHaveLength(2);
      process.kill(server.pid, 'SIGCONT');
      await finish(bus, one, performed);
      expect(stack.guestPids()).toHaveLength(1);
    },
  );

test('a guest that waits for a migration of which nothing was written down is ended, and its host takes another', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const { uuid, epoch } = await stack.run(await stack.connect(), { name: 'web1', host: 'h1' });
  const spec = { uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 };
  const lost = move(spec);
  await upToPrepared(bus, lost);
  await stack.restartDriver('h2', async () => rewrite(stack, 'h2', lost, { book: null }));
  expect(stack.guestPids()).toHaveLength(1);
  const given = { id: lost.id, role: 'source' as const, targetUndone: true };
  await callDriver(bus, qemu('h1'), migrationUndo, given, { domain: uuid });
  const next = move(spec);
  await finish(bus, next, await perform(bus, next, await upToPrepared(bus, next)));
  expect(await states(stack, 'h2')).toEqual([`web1 running ${epoch + 1}`]);
});

test('disks travel with their guest; without them, or to other hardware, it does not leave', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const [here, there] = [stack.folder.file('here.img'), stack.folder.file('there.img')];
  const content = randomBytes(4 * 1024 * 1024);
  writeFileSync(here, content);
  writeFileSync(there, Buffer.alloc(content.length));
  const devices = `<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${here}'/><target dev='vda' bus='virtio'/></disk>`;
  const { uuid, epoch } = await stack.run(await stack.connect(), { name: 'web1', host: 'h1', devices });
  const context = { domain: uuid };
  const moved = (options: object): Move =>
    move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, options);
  const begin = ({ id, options }: Move): Promise<MigrationView> =>
    callDriver(bus, qemu('h1'), migrationBegin, { id, peer: qemu('h2'), options }, context);

  const unsafe = expect.stringContaining(`disk vda is ${here}`) as string;
  await expect(begin(moved({}))).rejects.toMatchObject({ code: 'MIGRATE_UNSAFE', message: unsafe });
  const first = moved({ storage: 'full' });
  const xml = (await begin(first)).xml!.replace(here, there);
  await callDriver(bus, qemu('h1'), migrationUndo, { id: first.id, role: 'source' }, context);
  const other = moved({ storage: 'full', xml: xml.replace("<vcpu placement='static'>1<", '<vcpu>2<') });
  await expect(begin(other)).rejects.toMatchObject({ code: 'CONFIG_UNSUPPORTED' });

  const full = moved({ storage: 'full', xml });
  await finish(bus, full, await perform(bus, full, await upToPrepared(bus, full)));
  expect(readFileSync(there).equals(content)).toBe(true);
  expect(await states(stack, 'h2')).toEqual([`web1 running ${epoch + 1}`]);
});

test('a guest that was handed over is not ended at its source, and its image stays its own when its process there is killed', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const user = await stack.connect();
  const image = stack.folder.file('shared.img');
  writeFileSync(image, Buffer.alloc(1024 * 1024));
  const devices = `<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${image}'/><target dev='vda' bus='virtio'/></disk>`;
  const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1', devices });
  const source = stack.pidOf(uuid);
  const one = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, { unsafe: true });
  const performed = await perform(bus, one, await upToPrepared(bus, one));
  const refusal = await call(user, destroyDomain, {}, { target: uuid }).catch((error: unknown) => error);
  expect(refusal).toMatchObject({
    code: 'RESOURCE_BUSY',
    message: expect.stringContaining("handed over to host 'h2'"),
  });
  process.kill(source, 'SIGKILL');
  await eventually(() => stack.guestPids().includes(source), false);
  await stack.define(user, { name: 'web2', host: 'h1', devices });
  const other = await call(user, startDomain, {}, { target: 'web2' }).catch((error: unknown) => error);
  expect(other).toMatchObject({ code: 'IMAGE_IN_USE', message: expect.stringContaining("domain 'web1'") });
  await finish(bus, one, performed);
  expect(await states(stack, 'h2')).toEqual([`web1 running ${epoch + 1}`]);
});
