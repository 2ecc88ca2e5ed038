/** The ways in which memory is sent, each on real QEMUs: what speeds a transfer up, what bounds it, what gives it up. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import {
  createDomain,
  getDomainXml,
  migrationCheck,
  migrationLimits,
  migrationPostcopy,
  migrationPrepare,
  migrationPerform,
  migrationStatus,
  migrationUndo,
  qmpCommand,
  resumeDomain,
  startDomain,
  type MigrationRole,
  type MigrationView,
} from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import { eventually, requirement, Stack, tinyGuestBooted } from '@virtbus/testkit';
import { BreakableLink } from './breakable-link';
import { makeCertificates } from './certificates';
import { arrive, confirm, env, finish, move, perform, qemu, upToPrepared, type Move } from './host-moves';
import { disk, guestSays } from './storage-stand';

jest.setTimeout(300_000);

const mib = 1024 * 1024;
/** So slow that a transfer lasts until the test has done with it. */
const crawl = 2 * mib;
const knob = '/proc/sys/vm/unprivileged_userfaultfd';
const needsRefusal = requirement(
  'a kernel that keeps userfaultfd to root, and root',
  () => process.getuid?.() === 0 && readFileSync(knob, 'utf8').trim() === '0',
);
const needsTmpfs = requirement('root, who mounts a tmpfs', () => process.getuid?.() === 0);
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

needsUserfaultfd.test('post-copy: a target to which nobody comes again listens anew', async () => {
  await using here = await scene({ VIRTBUS_QEMU_USER: 'root' });
  const { stack, bus, uuid, moved, status, sends } = here;
  const context = { domain: uuid };
  const one = moved({ postcopy: true, bandwidth: crawl, postcopyBandwidth: crawl });
  const { id, name, epoch, options } = one;
  const prepared = await upToPrepared(bus, one);
  await using link = await BreakableLink.to(prepared.uri!);
  const sending = perform(bus, one, { ...prepared, uri: link.uri });
  await sends(one);
  await callDriver(bus, qemu('h1'), migrationPostcopy, { id }, context);
  const arriving = await arrive(bus, one, await sending);
  link.cut();
  const memory = async (): Promise<string | undefined> => (await status(one, 'target')).memory;
  await eventually(memory, 'stranded', { timeoutMs: 30_000 });

  const listen = async (): Promise<string> => {
    const again = { id, peer: qemu('h1'), options, name, epoch, recover: true, xml: '', cookie: new Uint8Array() };
    return (await callDriver(bus, qemu('h2'), migrationPrepare, again, context)).uri!;
  };
  const resume = (uri: string): Promise<MigrationView> =>
    callDriver(
      bus,
      qemu('h1'),
      migrationPerform,
      { id, options, uri, cookie: prepared.cookie!, recover: true },
      context,
    );
  const first = await listen();
  expect(await listen()).toBe(first);
  // The connection that was to come is lost on its way.
  await expect(resume('tcp:127.0.0.1:1')).rejects.toThrow('the target did not answer');
  await eventually(memory, 'stranded', { timeoutMs: 60_000 });
  expect(await resume(await listen())).toMatchObject({ phase: 'performed' });
  await callDriver(bus, qemu('h1'), migrationLimits, { id, postcopyBandwidth: 1024 * mib }, context);
  await eventually(memory, 'whole', { timeoutMs: 120_000 });
  expect(await confirm(bus, one, arriving)).toMatchObject({ phase: 'confirmed' });
  await guestSays(await stack.connect(), uuid, 'echo still $((40 + 2))', 'still 42');
});

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

needsTmpfs.test(
  'a guest that stops on an I/O error while it is sent is given up where that was asked for',
  async () => {
    await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
    const folder = stack.folder.file('full');
    mkdirSync(folder, { mode: 0o755 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1M,mode=755', 'tmpfs', folder]);
    try {
      const bus = await stack.connect('service');
      const user = await stack.connect();
      const image = `${folder}/f.img`;
      writeFileSync(image, '');
      truncateSync(image, 4 * mib);
      const guest = { name: 'web1', host: 'h1', linux: true, devices: disk(image, 'raw') };
      const { uuid, epoch } = await stack.run(user, guest);
      await stack.consoleShows(user, uuid, tinyGuestBooted);
      const options = { bandwidth: mib, unsafe: true, abortOnError: true };
      const one = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, options);
      const sending = perform(bus, one, await upToPrepared(bus, one));
      sending.catch(() => undefined);
      await guestSays(
        user,
        uuid,
        'echo on $((40 + 2)); dd if=/dev/zero of=/dev/vda bs=64k count=32 conv=fsync',
        'on 42',
      );
      const error = {
        code: 'OPERATION_FAILED',
        message: expect.stringContaining('the guest stopped on an I/O error ('),
      };
      expect(await sending).toMatchObject({ phase: 'undone', error });
      expect(await stack.state(user, uuid)).toBe('paused(ioerror)');
      const undone = await callDriver(bus, qemu('h2'), migrationUndo, { id: one.id, role: 'target' }, { domain: uuid });
      expect(undone.phase).toBe('undone');
      execFileSync('mount', ['-o', 'remount,size=16M', folder]);
      await call(user, resumeDomain, {}, { target: uuid });
      await guestSays(user, uuid, 'echo on $((50 + 2))', 'on 52');
    } finally {
      execFileSync('umount', ['--lazy', folder]);
    }
  },
);

/** Two hosts, and a guest on the first with a disk that has a place of its own on the second. */
async function withDisk(stack: Stack): Promise<{ user: Bus; uuid: string; epoch: number; xml: string; there: string }> {
  const user = await stack.connect();
  const [here, there] = [stack.folder.file('here.img'), stack.folder.file('there.img')];
  writeFileSync(here, randomBytes(4 * mib));
  writeFileSync(there, Buffer.alloc(4 * mib));
  const { uuid, epoch } = await stack.run(user, { name: 'web1', host: 'h1', devices: disk(here, 'raw') });
  const { xml = '' } = await call(user, getDomainXml, { secure: true }, { target: uuid });
  return { user, uuid, epoch, xml: xml.replace(here, there), there };
}

test('a limit that changes while disks are copied is theirs, too', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const { user, uuid, epoch, xml, there } = await withDisk(stack);
  const options = { storage: 'full', xml, bandwidth: 4096 };
  const one = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, options);
  const sending = perform(bus, one, await upToPrepared(bus, one));
  const speeds = async (): Promise<number[]> => {
    const { result } = await call(user, qmpCommand, { execute: 'query-block-jobs' }, { target: uuid });
    return (result as { speed: number }[]).map(({ speed }) => speed);
  };
  await eventually(speeds, [4096], { timeoutMs: 30_000 });
  await callDriver(bus, qemu('h1'), migrationLimits, { id: one.id, bandwidth: 8192 }, { domain: uuid });
  expect(await speeds()).toEqual([8192]);
  await callDriver(bus, qemu('h1'), migrationLimits, { id: one.id, bandwidth: 1024 * mib }, { domain: uuid });
  await finish(bus, one, await sending);
  expect(readFileSync(there).equals(readFileSync(stack.folder.file('here.img')))).toBe(true);
});

test('disks go to a target that proves the name it is to have, as memory does', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  const { uuid, epoch, xml } = await withDisk(stack);
  const directory = makeCertificates(stack.folder.file('certificates'), 'h2.example');
  const options = { storage: 'full', xml, tls: { directory, peer: 'h2.example' } };
  const one = move({ uuid, name: 'web1', from: 'h1', to: 'h2', epoch: epoch + 1 }, options);
  await finish(bus, one, await perform(bus, one, await upToPrepared(bus, one)));
});

test('a CPU that the target cannot give is refused by name, and one that the guest never had is not', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'], env });
  const bus = await stack.connect('service');
  // TCG shows it to nobody, also where it is asked for.
  const cpu = "<cpu match='exact'><model>Nehalem</model><feature policy='require' name='vmx'/></cpu>";
  const guest = await stack.domainXml({ name: 'web1' });
  const { domain } = await call(await stack.connect(), createDomain, {
    xml: guest.replace('</domain>', `${cpu}</domain>`),
    host: 'h1',
  });
  const { options } = move({ uuid: domain.uuid, name: 'web1', from: 'h1', to: 'h2', epoch: 2 });
  const context = { domain: domain.uuid };
  const look = { role: 'source', peer: qemu('h2'), options } as const;
  const { document, cpu: given } = await callDriver(bus, qemu('h1'), migrationCheck, look, context);
  expect(given?.features).toEqual(expect.arrayContaining(['sse4.2', 'popcnt']));
  expect(given?.features).not.toContain('vmx');
  const reasons = async (has: typeof given, shown = document): Promise<string[]> => {
    const ask = { role: 'target', peer: qemu('h1'), options, document: shown, cpu: has } as const;
    const found = await callDriver(bus, qemu('h2'), migrationCheck, ask, context);
    return found.reasons.map(({ where, code, message }) => `${where} ${code}: ${message}`);
  };
  expect(await reasons(given)).toEqual([]);
  // As a host with another QEMU would have given it.
  expect(await reasons({ features: [...given!.features, 'vmx', 'invtsc'] })).toEqual([
    expect.stringMatching(/^target CPU_INCOMPATIBLE: .*cannot give the features that the guest has: invtsc, vmx$/),
  ]);
  expect(await reasons(given, document!.replace('Nehalem', 'Tomorrow'))).toContainEqual(
    expect.stringMatching(/^target CPU_INCOMPATIBLE: .*does not know the CPU model 'Tomorrow'/),
  );
});
