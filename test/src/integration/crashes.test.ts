/** Every process of ours is killed under running guests; nothing is lost, nothing happens twice, no guest is touched. */
import { call, enqueue, newId, type Bus } from '@virtbus/shared/bus';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import {
  createDomain,
  listDomains,
  resumeDomain,
  saveDomain,
  startDomain,
  suspendDomain,
  type DomainSummary,
  type VirtError,
} from '@virtbus/shared';
import { eventually, findProgram, Stack, temporaryFolder } from '@virtbus/testkit';

jest.setTimeout(300_000);

/** How long the bus stays away, milliseconds; acceptance asks for a minute, which VIRTBUS_TEST_OUTAGE_MS can say. */
const outageMs = Number(process.env.VIRTBUS_TEST_OUTAGE_MS ?? 10_000);

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('a killed driver finds its five guests again; the one that powered off meanwhile is told once', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const guests: DomainSummary[] = [];
  for (let n = 1; n <= 4; n++) guests.push(await stack.run(bus, { name: `guest${n}` }));
  const dying = await stack.run(bus, { name: 'dying', linux: true, append: 'tiny.poweroff-after=1' });
  await call(bus, suspendDomain, {}, { target: 'guest4' });
  const pids = guests.map(({ uuid }) => stack.pidOf(uuid));
  const before = await stack.events(bus);

  await stack.restartDriver('h1', async () => {
    // It powers off while nobody looks: QEMU waits with the machine stopped, or is gone.
    await stack.guestHalts(dying.uuid);
  });

  await eventually(() => stack.state(bus, dying.uuid), 'shutoff(shutdown)', { timeoutMs: 30_000 });
  expect(guests.map(({ uuid }) => stack.pidOf(uuid))).toEqual(pids);
  for (const { uuid } of guests.slice(0, 3)) expect(await stack.state(bus, uuid)).toBe('running(booted)');
  expect(await stack.state(bus, 'guest4')).toBe('paused(user)');
  const after = (await stack.events(bus)).slice(before.length);
  expect(after.map((event) => `${event.domain.name} ${event.type}(${event.detail})`)).toEqual([
    'dying shutdown(guest)',
    'dying stopped(shutdown)',
  ]);
  // And they obey again.
  await call(bus, resumeDomain, {}, { target: 'guest4' });
  expect(await stack.state(bus, 'guest4')).toBe('running(unpaused)');
});

test('a killed domain service loses nothing: its next copy tells the same, another copy answers meanwhile', async () => {
  await using stack = await Stack.start({ domainServices: 2 });
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'kept' });
  await stack.domainServices[0]!.stop('SIGKILL');
  const id = newId();
  await eventually(() => call(bus, suspendDomain, {}, { target: uuid, id, timeoutMs: 10_000 }).then(() => true), true);
  await stack.domainServices[1]!.stop('SIGKILL');
  // The server notices a moment later that its connection is gone.
  const refusal = (): Promise<unknown> =>
    call(bus, listDomains, {}).catch((error: unknown) => (error as VirtError).code);
  await eventually(refusal, 'SERVICE_OFFLINE');
  await stack.startDomainService();
  const { domains } = await call(bus, listDomains, {});
  expect(domains.map(({ name, state }) => `${name} ${state}`)).toEqual(['kept paused']);
});

test('the bus is away for a while: guests run on, what happens meanwhile is told once and in order', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const guests = [await stack.run(bus, { name: 'one' }), await stack.run(bus, { name: 'two' })];
  const pids = guests.map(({ uuid }) => stack.pidOf(uuid));
  const before = (await stack.events(bus)).length;

  await stack.nats.kill9();
  process.kill(pids[0]!, 'SIGKILL');
  await rest(outageMs);
  await stack.nats.restart();
  await stack.hostsOnline(1);

  await eventually(() => stack.state(bus, guests[0]!.uuid), 'shutoff(crashed)', { timeoutMs: 30_000 });
  expect(stack.pidOf(guests[1]!.uuid)).toBe(pids[1]);
  const told = (await stack.events(bus))
    .slice(before)
    .map((event) => `${event.domain.name} ${event.type}(${event.detail})`);
  expect(told).toEqual(['one stopped(failed)']);
  await call(bus, suspendDomain, {}, { target: 'two' });
});

test('all of JetStream is wiped under running guests: the registry is filled again from the host', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const running = await stack.run(bus, { name: 'running' });
  const defined = await stack.define(bus, { name: 'defined' });
  const pid = stack.pidOf(running.uuid);

  await stack.nats.wipe();
  await stack.hostsOnline(1);

  const names = async (): Promise<string[]> =>
    (await call(bus, listDomains, {})).domains.map(({ name, state }) => `${name} ${state}`);
  await eventually(names, ['defined shutoff', 'running running'], { timeoutMs: 30_000 });
  expect(stack.pidOf(running.uuid)).toBe(pid);
  // The names are claimed again, and commands go where they should.
  await expect(stack.define(bus, { name: 'running' })).rejects.toMatchObject({ code: 'DOMAIN_EXISTS' });
  await call(bus, startDomain, {}, { target: defined.uuid });
  const last = (await stack.events(bus, defined.uuid)).at(-1);
  expect(last).toMatchObject({ type: 'started' });
});

test('one start command sent twenty times by four clients to three copies starts one QEMU and gets twenty equal answers', async () => {
  await using stack = await Stack.start({ domainServices: 3 });
  const clients = await Promise.all([1, 2, 3, 4].map(() => stack.connect()));
  const { uuid } = await stack.define(clients[0]!, { name: 'once' });
  const id = newId();
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) => call(clients[n % 4]!, startDomain, {}, { target: uuid, id })),
  );
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  expect(stack.guestPids()).toHaveLength(1);
  await eventually(() => startsOf(stack, clients[0]!, uuid), [id]);
});

test('a queued start outlives a restart of everything and is applied once', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.define(bus, { name: 'queued' });
  await stack.drivers.get('h1')!.stop('SIGKILL');
  await stack.domainServices[0]!.stop('SIGKILL');
  const { commandId } = await enqueue(bus, startDomain, {}, { target: uuid });
  expect((await enqueue(bus, startDomain, {}, { target: uuid, id: commandId })).duplicate).toBe(true);
  await stack.nats.kill9();
  await stack.nats.restart();
  await stack.startDomainService();
  await stack.startDriver('h1');
  await eventually(() => stack.state(bus, uuid), 'running(booted)', { timeoutMs: 60_000 });
  expect(stack.guestPids()).toHaveLength(1);
  await eventually(() => startsOf(stack, bus, uuid), [commandId]);
});

test('a driver killed in the middle of a start leaves no half guest, and the same command starts it', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.define(bus, { name: 'half' });
  const id = newId();
  const first = call(bus, startDomain, {}, { target: uuid, id, timeoutMs: 10_000 }).catch((error: unknown) => error);
  await eventually(() => stack.guestPids().length, 1, { intervalMs: 1 });
  await stack.restartDriver('h1');
  await first;
  const { domain } = await call(bus, startDomain, {}, { target: uuid, id });
  expect(domain.state).toBe('running');
  expect(stack.guestPids()).toHaveLength(1);
  await eventually(() => startsOf(stack, bus, uuid), [id]);
});

test('a command that its driver was killed over does not wait for its time-out: what is known of it is told', async () => {
  await using stack = await Stack.start({ hosts: ['h1', 'h2'] });
  const bus = await stack.connect();
  const hourMs = 3_600_000;
  /** A command that the driver of this host has begun, on a guest that does not answer. */
  const suspended = async (host: string): Promise<{ refusal: Promise<VirtError> }> => {
    const { uuid } = await stack.run(bus, { name: `silent-${host}`, host });
    process.kill(stack.pidOf(uuid), 'SIGSTOP');
    const asked = call(bus, suspendDomain, {}, { target: uuid, timeoutMs: hourMs });
    const refusal = asked.then(
      () => Promise.reject(new Error('it was done')),
      (error: unknown) => error as VirtError,
    );
    refusal.catch(() => undefined);
    const record = stack.folder.file('state', 'hosts', host, 'qemu', 'domains', uuid, 'record.json');
    await eventually(
      () => readFileSync(record, 'utf8'),
      (text) => text.includes('"suspend"'),
    );
    return { refusal };
  };
  const [again, away] = await Promise.all(['h1', 'h2'].map(suspended));
  await stack.drivers.get('h2')!.stop('SIGKILL');
  await stack.restartDriver('h1');
  expect(await again!.refusal).toMatchObject({
    code: 'OPERATION_TIMEOUT',
    message: expect.stringContaining("driver-qemu on host 'h1' was started again over it") as string,
  });
  expect(await away!.refusal).toMatchObject({
    code: 'OPERATION_TIMEOUT',
    message: expect.stringContaining("driver-qemu on host 'h2' does not answer any more") as string,
  });
});

test('so does a create: its guest runs and it is answered, or there is none and that is told', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const xml = await stack.domainXml({ name: 'half' });
  const asked = call(bus, createDomain, { xml }, { timeoutMs: 3_600_000 }).then(
    ({ domain }) => domain.state,
    (error: VirtError) => error.message,
  );
  await eventually(() => stack.guestPids().length, 1, { intervalMs: 1 });
  await stack.restartDriver('h1');
  const ended = await asked;
  if (ended !== 'running') expect(ended).toContain("driver-qemu on host 'h1' was started again over it");
  expect(stack.guestPids()).toHaveLength(ended === 'running' ? 1 : 0);
  const { domains } = await call(bus, listDomains, {});
  expect(domains.map(({ state }) => state)).toEqual(ended === 'running' ? ['running'] : []);
  if (ended !== 'running') expect((await call(bus, createDomain, { xml })).domain.state).toBe('running');
});

test('a driver killed in the middle of a save leaves the guest running, as before it', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'saved', linux: true, memoryMib: 512, append: 'tiny.counter' });
  await stack.consoleShows(bus, uuid, 'count 1');
  const pid = stack.pidOf(uuid);
  const path = stack.folder.file('saved.image');
  const save = call(bus, saveDomain, { path }, { target: uuid, timeoutMs: 10_000 }).catch((error: unknown) => error);
  await eventually(() => existsSync(path), true, { intervalMs: 1 });
  await stack.restartDriver('h1');
  await save;
  await eventually(() => stack.state(bus, uuid), 'running(save-canceled)', { timeoutMs: 20_000 });
  expect(stack.pidOf(uuid)).toBe(pid);
  await stack.consoleShows(bus, uuid, 'tiny-guest: count');
});

test('a guest whose emulator is a script that becomes QEMU is found again', async () => {
  using folder = temporaryFolder();
  const script = folder.file('emulator');
  writeFileSync(script, `#!/bin/sh\nexec ${findProgram('qemu-system-x86_64')} "$@"\n`, { mode: 0o755 });
  await using stack = await Stack.start({ env: { VIRTBUS_QEMU_EMULATORS: script } });
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'wrapped', devices: `<emulator>${script}</emulator>` });
  const pid = stack.pidOf(uuid);
  await stack.restartDriver('h1');
  expect(await stack.state(bus, uuid)).toBe('running(booted)');
  expect(stack.pidOf(uuid)).toBe(pid);
  await call(bus, suspendDomain, {}, { target: uuid });
});

/** The commands that have started it, as the log of events tells. */
async function startsOf(stack: Stack, bus: Bus, uuid: string): Promise<(string | undefined)[]> {
  const started = (await stack.events(bus, uuid)).filter((event) => event.type === 'started');
  return started.map((event) => event.commandId);
}
