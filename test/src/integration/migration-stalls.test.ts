/** What hangs in the middle of a migration tells nobody: each time the transfer ends by itself, says why, and the guest runs once. */
import { randomBytes, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { writeCookie } from '@virtbus/domain-xml';
import { migrationBegin, migrationStatus, migrationUndo, qmpCommand, type MigrationView } from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack, startProcess, tinyGuestBooted } from '@virtbus/testkit';
import { arrive, env, finish, move, perform, qemu, upToPrepared, type Move } from './host-moves';

jest.setTimeout(300_000);

const mib = 1024 * 1024;
const patience = { timeoutMs: 60_000 };
const silence = { VIRTBUS_MIGRATION_SILENCE_MS: '5000' };

let stack: Stack;
let bus: Bus;
let user: Bus;
let one: { uuid: string; epoch: number };
let here: string;

beforeAll(async () => {
  stack = await Stack.start({ hosts: ['h1', 'h2'], env: { ...env, ...silence } });
  bus = await stack.connect('service');
  here = stack.folder.file('here.img');
  // More than the buffers of a connection take when nobody reads.
  writeFileSync(here, randomBytes(32 * mib));
  const devices = `<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${here}'/><target dev='vda' bus='virtio'/></disk>`;
  user = await stack.connect();
  one = await stack.run(user, { name: 'web1', host: 'h1', linux: true, devices });
  await stack.consoleShows(user, one.uuid, tinyGuestBooted);
});
afterAll(() => stack[Symbol.asyncDispose]());

const moved = (options: object): Move =>
  move({ uuid: one.uuid, name: 'web1', from: 'h1', to: 'h2', epoch: one.epoch + 1 }, { unsafe: true, ...options });

const look = ({ id }: Move): Promise<MigrationView> =>
  callDriver(bus, qemu('h1'), migrationStatus, { id, role: 'source' }, { domain: one.uuid });

const undo = ({ id }: Move, host: string, more: object): Promise<MigrationView> =>
  callDriver(bus, qemu(host), migrationUndo, { id, role: 'source', ...more }, { domain: one.uuid });

/** The QEMU that waits on the target. */
function waiting(source: number): number {
  const pid = stack.guestPids().find((each) => each !== source);
  if (pid === undefined) throw new Error('no QEMU waits on the target');
  return pid;
}

async function runsAtSource(source: number): Promise<void> {
  await eventually(async () => stack.guestPids().join(), String(source), patience);
  await eventually(async () => (await stack.state(user, one.uuid)).startsWith('running'), true, patience);
}

const ended = (message: string): object => ({
  phase: 'undone',
  error: { message: expect.stringContaining(message) as string },
});

test('a target that reads no memory', async () => {
  const source = stack.pidOf(one.uuid);
  const stuck = moved({});
  const prepared = await upToPrepared(bus, stuck);
  process.kill(waiting(source), 'SIGSTOP');
  const view = await perform(bus, stuck, prepared);
  expect(view).toMatchObject(ended('nothing has reached 127.0.0.1 for 5 s'));
  await undo(stuck, 'h2', { role: 'target' });
  await runsAtSource(source);
});

test('a target that takes no more of a disk', async () => {
  const source = stack.pidOf(one.uuid);
  const there = stack.folder.file('there.img');
  writeFileSync(there, Buffer.alloc(32 * mib));
  const tried = moved({ storage: 'full' });
  const begun = { id: tried.id, peer: qemu('h2'), options: tried.options };
  const { xml } = await callDriver(bus, qemu('h1'), migrationBegin, begun, { domain: one.uuid });
  await undo(tried, 'h1', {});
  const stuck = moved({ storage: 'full', bandwidth: mib, xml: xml!.replace(here, there) });
  const sending = perform(bus, stuck, await upToPrepared(bus, stuck));
  await eventually(async () => ((await look(stuck)).progress?.disks?.processed ?? 0) > 0, true, patience);
  process.kill(waiting(source), 'SIGSTOP');
  expect(await sending).toMatchObject(ended('nothing has reached 127.0.0.1 for 5 s'));
  await undo(stuck, 'h2', { role: 'target' });
  await runsAtSource(source);
});

/** A port where connections begin and do not come about, until it is let go on. */
async function deafPort(): Promise<{ port: number; hear: () => void } & AsyncDisposable> {
  const listen = `require('net').createServer().listen(0, '127.0.0.1', 1, function () { console.log('at ' + this.address().port) })`;
  const server = await startProcess([process.execPath, '-e', listen], { name: 'deaf port' });
  const port = Number((await server.waitFor(/^at \d+$/)).slice('at '.length));
  server.kill('SIGSTOP');
  const sockets: Socket[] = [];
  // The kernel takes a few for it.
  for (let heard = true; heard;) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    sockets.push(socket);
    heard = await eventually(() => socket.readyState, 'open', { timeoutMs: 3_000 }).then(
      () => true,
      () => false,
    );
  }
  return {
    port,
    hear: () => server.kill('SIGCONT'),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await server.stop('SIGKILL');
    },
  };
}

test('a QEMU that does not give up a connection which nobody takes', async () => {
  const source = stack.pidOf(one.uuid);
  await using deaf = await deafPort();
  const stuck = moved({});
  const prepared = await upToPrepared(bus, stuck);
  const view = await perform(bus, stuck, { ...prepared, uri: `tcp:127.0.0.1:${deaf.port}` });
  expect(view).toMatchObject(ended('nothing has reached 127.0.0.1 for 5 s'));
  await undo(stuck, 'h2', { role: 'target' });
  await runsAtSource(source);
  const status = async (): Promise<unknown> => {
    const { result } = await call(user, qmpCommand, { execute: 'query-migrate' }, { target: one.uuid });
    return (result as { status?: string }).status;
  };
  expect(await status()).toBe('cancelling');
  // Nobody is kept off the domain for it, and whoever moves it is told.
  const next = moved({});
  const refused = await perform(bus, next, await upToPrepared(bus, next));
  expect(refused).toMatchObject(ended("There's a migration process in progress"));
  await undo(next, 'h2', { role: 'target' });
  deaf.hear();
  await eventually(status, 'cancelled', patience);
});

test('a source that does not send the last of it, and goes on when it can', async () => {
  const source = stack.pidOf(one.uuid);
  const stuck = moved({ bandwidth: mib });
  const sending = perform(bus, stuck, await upToPrepared(bus, stuck));
  await eventually(async () => ((await look(stuck)).progress?.memory?.processed ?? 0) > 0, true, patience);
  process.kill(source, 'SIGSTOP');
  try {
    const from = { name: 'web1', uuid: one.uuid, hostname: 'h1', hostuuid: randomUUID(), features: [] };
    const told = await arrive(bus, stuck, { phase: 'performed', cookie: writeCookie(from) });
    expect(told).toMatchObject(ended("the last of the memory has not arrived from host 'h1' within 5 s"));
  } finally {
    process.kill(source, 'SIGCONT');
  }
  expect((await sending).phase).toBe('undone');
  await runsAtSource(source);
  const next = moved({});
  await finish(bus, next, await perform(bus, next, await upToPrepared(bus, next)));
});
