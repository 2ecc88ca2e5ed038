/** What the two hosts of a migration do, asked step by step as the migration service asks them. */
import {
  migrationBegin,
  migrationConfirm,
  migrationFinish,
  migrationPerform,
  migrationPrepare,
  migrationStatus,
  migrationUndo,
  MigrationOptions,
  type MigrationView,
} from '@virtbus/shared';
import { callDriver, newId, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';

jest.setTimeout(300_000);

const env = { VIRTBUS_MIGRATION_ADDRESS: '127.0.0.1' };
const qemu = (host: string) => ({ host, driver: 'qemu' });

interface Move {
  id: string;
  uuid: string;
  name: string;
  from: string;
  to: string;
  epoch: number;
  options: MigrationOptions;
}

const move = (spec: Omit<Move, 'id' | 'options'>, options: object = {}): Move => ({
  id: newId(),
  ...spec,
  options: MigrationOptions.parse({ live: true, ...options }),
});

async function upToPrepared(bus: Bus, { id, uuid, name, from, to, epoch, options }: Move): Promise<MigrationView> {
  const context = { domain: uuid };
  const begun = await callDriver(bus, qemu(from), migrationBegin, { id, peer: qemu(to), options }, context);
  expect(begun).toMatchObject({ phase: 'begun' });
  const { cookie, xml, definition } = begun;
  const ask = { id, peer: qemu(from), options, name, epoch, xml: xml!, definition, cookie: cookie! };
  return callDriver(bus, qemu(to), migrationPrepare, ask, context);
}

async function perform(bus: Bus, { id, uuid, from, options }: Move, prepared: MigrationView): Promise<MigrationView> {
  const ask = { id, options, uri: prepared.uri!, cookie: prepared.cookie! };
  return callDriver(bus, qemu(from), migrationPerform, ask, { domain: uuid });
}

async function finish(bus: Bus, { id, uuid, from, to }: Move, performed: MigrationView): Promise<void> {
  const context = { domain: uuid };
  const done = await callDriver(bus, qemu(to), migrationFinish, { id, cookie: performed.cookie! }, context);
  expect(done).toMatchObject({ phase: 'finished', memory: 'whole', guest: { state: 'running', reason: 'migrated' } });
  const gone = await callDriver(bus, qemu(from), migrationConfirm, { id, cookie: done.cookie! }, context);
  expect(gone).toMatchObject({ phase: 'confirmed' });
}

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
  expect(await stack.state(user, uuid)).toBe('running(migration-canceled)');
  expect(stack.guestPids()).toHaveLength(1);
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
