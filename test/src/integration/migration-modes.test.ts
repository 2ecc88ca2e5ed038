/** The ways in which memory is sent, each on real QEMUs: what speeds a transfer up, what bounds it, what gives it up. */
import { readFileSync } from 'node:fs';
import {
  migrationCheck,
  migrationLimits,
  migrationPostcopy,
  migrationPrepare,
  migrationPerform,
  migrationStatus,
  migrationUndo,
  startDomain,
  type MigrationRole,
  type MigrationView,
} from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import { eventually, requirement, Stack, tinyGuestBooted } from '@virtbus/testkit';
import { BreakableLink } from './breakable-link';
import { arrive, confirm, env, finish, move, perform, qemu, upToPrepared, type Move } from './host-moves';
import { guestSays } from './storage-stand';

jest.setTimeout(300_000);

const mib = 1024 * 1024;
/** So slow that a transfer lasts until the test has done with it. */
const crawl = 2 * mib;
const knob = '/proc/sys/vm/unprivileged_userfaultfd';
const needsRefusal = requirement(
  'a kernel that keeps userfaultfd to root, and root',
  () => process.getuid?.() === 0 && readFileSync(knob, 'utf8').trim() === '0',
);
const needsUserfaultfd = requirement('root, for which the kernel has userfaultfd', () => process.getuid?.() === 0);

interface Scene extends AsyncDisposable {
  stack: Stack;
  bus: Bus;
  uuid: string;
  /** Of the next migration, h1 to h2 unless it has moved there. */
  moved: (options: object) => Move;
  status: (one: Move, role?: MigrationRole) => Promise<MigrationView>;
  sends: (one: Move) => Promise<void>;
}

needsRefusal.test(
  'post-copy is refused where the kernel has no userfaultfd for guests, before anything is touched',
  async () => {
    await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
    const bus = await stack.connect('service');
    const { uuid, epoch } = await stack.run(await stack.connect(), { name: 'web1', host: 'h1' });
    const one = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, { postcopy: true });
    const reason = { code: 'OPERATION_UNSUPPORTED', message: expect.stringContaining('vm.unprivileged_userfaultfd=1') };
    const check = {
      peer: qemu('h1'),
      options: one.options,
      role: 'target',
      document: await stack.domainXml(one),
    } as const;
    const { reasons } = await callDriver(bus, qemu('h2'), migrationCheck, check, { domain: uuid });
    expect(reasons).toEqual([{ where: 'target', ...reason }]);
    await expect(upToPrepared(bus, one)).rejects.toMatchObject(reason);
    expect(stack.guestPids()).toHaveLength(1);
  },
);

/** Two hosts, and on the first a guest that writes to its memory without pause. */
async function scene(more: Record<string, string> = {}): Promise<Scene> {
  const stack = await Stack.start({ hosts: ['h1', 'h2'], env: { ...env, ...more } });
  const bus = await stack.connect('service');
  const user = await stack.connect();
  const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1', linux: true, append: 'tiny.counter' });
  await stack.consoleShows(user, uuid, tinyGuestBooted);
  await guestSays(user, uuid, 'while :; do dd if=/dev/urandom of=/run/x bs=256k count=8 2>/dev/null; done &', '');
  const status: Scene['status'] = ({ id, from, to }, role = 'source') =>
    callDriver(bus, qemu(role === 'source' ? from : to), migrationStatus, { id, role }, { domain: uuid });
  return {
    ...{ stack, bus, uuid, status },
    moved: (options) => move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, options),
    sends: async (one) => {
      const processed = async (): Promise<number> => (await status(one)).progress?.memory?.processed ?? 0;
      await eventually(async () => (await processed()) > 0, true, { timeoutMs: 30_000 });
    },
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

test('limits change while memory is sent, and a guest that writes too fast for them is given up or let go', async () => {
  await using here = await scene();
  const { stack, bus, uuid, moved, status, sends } = here;
  const context = { domain: uuid };
  const slow = moved({ bandwidth: crawl, downtimeMs: 1 });
  const prepared = await upToPrepared(bus, slow);
  const given = perform(bus, slow, prepared);
  await sends(slow);
  const target = await callDriver(bus, qemu('h2'), migrationUndo, { id: slow.id, role: 'target' }, context);
  expect(target).toMatchObject({ phase: 'undone' });
  const ask = { id: slow.id, role: 'source' as const };
  await callDriver(bus, qemu('h1'), migrationUndo, ask, context);
  expect(await given).toMatchObject({ phase: 'undone', guest: { state: 'running' }, error: expect.anything() });

  const aborted = moved({ bandwidth: crawl });
  const sending = perform(bus, aborted, await upToPrepared(bus, aborted));
  await sends(aborted);
  await callDriver(bus, qemu('h1'), migrationUndo, { ...ask, id: aborted.id }, context);
  expect(await sending).toMatchObject({ phase: 'undone', error: { code: 'OPERATION_ABORTED' } });
  await callDriver(bus, qemu('h2'), migrationUndo, { id: aborted.id, role: 'target' }, context);
  expect(stack.guestPids()).toHaveLength(1);

  const freed = moved({ bandwidth: crawl, downtimeMs: 1 });
  const going = perform(bus, freed, await upToPrepared(bus, freed));
  await sends(freed);
  const limits = { id: freed.id, bandwidth: 1024 * mib, downtimeMs: 20_000 };
  expect(await callDriver(bus, qemu('h1'), migrationLimits, limits, context)).toMatchObject({ phase: 'performing' });
  await finish(bus, freed, await going);
  const late = callDriver(bus, qemu('h2'), migrationLimits, limits, context);
  await expect(late).rejects.toMatchObject({ code: 'OPERATION_INVALID' });
  expect(await status(freed)).toMatchObject({ phase: 'confirmed' });
});

test('connections side by side, xbzrle, a slowed guest and a paused one each bring it over, and leave no trace', async () => {
  await using here = await scene();
  const { stack, bus, uuid, moved } = here;
  const kinds: object[] = [
    { parallel: 2 },
    { parallel: 2, compression: { method: 'zlib', level: 1 } },
    { compression: { method: 'xbzrle', cacheBytes: 16 * mib } },
    { autoConverge: { initial: 30, increment: 20 } },
    { live: false },
  ];
  for (const [n, options] of kinds.entries()) {
    const [from, to] = n % 2 === 0 ? ['h1', 'h2'] : ['h2', 'h1'];
    const first = moved({ downtimeMs: 20_000, ...options });
    const one: Move = { ...first, epoch: first.epoch + n, from: from, to: to };
    await finish(bus, one, await perform(bus, one, await upToPrepared(bus, one)));
    await eventually(() => stack.guestPids().length, 1);
  }
  await guestSays(await stack.connect(), uuid, 'echo still $((40 + 2))', 'still 42');
});

needsUserfaultfd.test(
  'post-copy: it runs on the target at once, and its halves are joined after the link broke',
  async () => {
    await using here = await scene({ VIRTBUS_QEMU_USER: 'root' });
    const { stack, bus, uuid, moved, status, sends } = here;
    const context = { domain: uuid };
    const one = moved({ postcopy: true, bandwidth: crawl, postcopyBandwidth: crawl });
    const prepared = await upToPrepared(bus, one);
    await using link = await BreakableLink.to(prepared.uri!);
    const sending = perform(bus, one, { ...prepared, uri: link.uri });
    await sends(one);
    await callDriver(bus, qemu('h1'), migrationPostcopy, { id: one.id }, context);
    const performed = await sending;
    expect(performed).toMatchObject({ phase: 'performed', guest: { state: 'paused', reason: 'post-copy' } });
    const arriving = await arrive(bus, one, performed);
    const running = { phase: 'finished', memory: 'arriving', guest: { state: 'running', reason: 'post-copy' } };
    expect(arriving).toMatchObject(running);

    link.cut();
    const memory = async (): Promise<string | undefined> => (await status(one, 'target')).memory;
    await eventually(memory, 'stranded', { timeoutMs: 30_000 });
    expect(await status(one, 'target')).toMatchObject({ guest: { state: 'running', reason: 'post-copy-failed' } });
    expect(await status(one)).toMatchObject({ phase: 'performed', guest: { state: 'paused' } });
    await stack.restartDriver('h2');
    expect(await memory()).toBe('stranded');

    const again = {
      id: one.id,
      peer: qemu('h1'),
      options: one.options,
      name: one.name,
      epoch: one.epoch,
      recover: true,
    };
    const ask = { ...again, xml: '', cookie: new Uint8Array() };
    const listening = await callDriver(bus, qemu('h2'), migrationPrepare, ask, context);
    expect(listening).toMatchObject({ phase: 'finished', memory: 'awaiting', uri: expect.stringMatching(/^tcp:/) });
    expect(await callDriver(bus, qemu('h2'), migrationPrepare, ask, context)).toEqual(listening);
    const rest = { id: one.id, options: one.options, uri: listening.uri!, cookie: prepared.cookie!, recover: true };
    expect(await callDriver(bus, qemu('h1'), migrationPerform, rest, context)).toMatchObject({ phase: 'performed' });
    await callDriver(bus, qemu('h1'), migrationLimits, { id: one.id, postcopyBandwidth: 1024 * mib }, context);
    await eventually(memory, 'whole', { timeoutMs: 120_000 });
    expect(await confirm(bus, one, arriving)).toMatchObject({ phase: 'confirmed' });
    expect(await status(one, 'target')).toMatchObject({ guest: { state: 'running', reason: 'migrated' } });
    expect(stack.guestPids()).toHaveLength(1);
    await guestSays(await stack.connect(), uuid, 'echo still $((40 + 2))', 'still 42');
  },
);

needsUserfaultfd.test(
  'post-copy: a target that is gone before it let the guest run takes it along, and the source says so',
  async () => {
    await using here = await scene({ VIRTBUS_QEMU_USER: 'root' });
    const { stack, bus, uuid, moved, sends } = here;
    const context = { domain: uuid };
    const source = stack.pidOf(uuid);
    const one = moved({ postcopy: true, bandwidth: crawl, postcopyBandwidth: crawl });
    const sending = perform(bus, one, await upToPrepared(bus, one));
    await sends(one);
    await callDriver(bus, qemu('h1'), migrationPostcopy, { id: one.id }, context);
    expect(await sending).toMatchObject({ phase: 'performed', postcopy: true });
    process.kill(
      stack.guestPids().find((pid) => pid !== source)!,
      'SIGKILL',
    );
    await stack.restartDriver('h1');
    const undo = async (host: string, role: MigrationRole, more: object = {}): Promise<MigrationView> =>
      callDriver(bus, qemu(host), migrationUndo, { id: one.id, role, ...more }, context);
    expect(await undo('h2', 'target')).toMatchObject({ phase: 'undone' });
    expect(await undo('h1', 'source', { targetUndone: true })).toMatchObject({
      ...{ phase: 'undone', lost: true },
      error: {
        code: 'OPERATION_FAILED',
        message: expect.stringContaining('the guest ended with its target') as string,
      },
    });
    expect(stack.guestPids()).toHaveLength(0);
    const user = await stack.connect();
    await eventually(() => stack.state(user, uuid), 'shutoff(crashed)');
    await call(user, startDomain, {}, { target: uuid });
  },
);
