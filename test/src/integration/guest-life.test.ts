/** One guest through its life on real QEMU, and the log of it. */
import {
  createDomain,
  destroyDomain,
  eventFilter,
  getDomain,
  listDomains,
  rebootDomain,
  resumeDomain,
  shutdownDomain,
  startDomain,
  suspendDomain,
  undefineDomain,
} from '@virtbus/shared';
import { call, newId, tail, type Bus } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { guestSays } from './storage-stand';

jest.setTimeout(180_000);

test('a guest is defined, boots, is paused, shut down and undefined, and the log tells it in order with its causes', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.define(bus, { name: 'life', linux: true, devices: agentChannel });
  const ids = Object.fromEntries(['start', 'suspend', 'resume', 'shutdown', 'undefine'].map((name) => [name, newId()]));
  await call(bus, startDomain, {}, { target: 'life', id: ids.start });
  await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
  await call(bus, suspendDomain, {}, { target: uuid, id: ids.suspend });
  expect(await stack.state(bus, uuid)).toBe('paused(user)');
  await call(bus, resumeDomain, {}, { target: uuid, id: ids.resume });
  await call(bus, shutdownDomain, { mode: ['acpi'] }, { target: uuid, id: ids.shutdown });
  await eventually(() => stack.state(bus, uuid), 'shutoff(shutdown)', { timeoutMs: 60_000 });
  await call(bus, undefineDomain, {}, { target: uuid, id: ids.undefine });

  const log = (await stack.events(bus, uuid)).filter((event) => event.class === 'lifecycle');
  expect(log.map((event) => `${event.type}(${event.detail})`)).toEqual([
    'defined(added)',
    'resumed(unpaused)',
    'started(booted)',
    'suspended(paused)',
    'resumed(unpaused)',
    'shutdown(guest)',
    'stopped(shutdown)',
    'undefined(removed)',
  ]);
  const causes = log.slice(1).map((event) => event.commandId);
  expect(causes).toEqual([ids.start, ids.start, ids.suspend, ids.resume, ids.shutdown, ids.shutdown, ids.undefine]);
  const revisions = (await stack.events(bus, uuid)).map((event) => event.domain.revision);
  expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
  expect(new Set(revisions).size).toBe(revisions.length);
  expect((await call(bus, listDomains, {})).domains).toEqual([]);
  await expect(call(bus, getDomain, {}, { target: uuid })).rejects.toMatchObject({ code: 'DOMAIN_NOT_FOUND' });
  expect(stack.guestPids()).toEqual([]);
});

test('the guest agent answers, shuts the guest down, and a reboot is told as one', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'agent', linux: true, devices: agentChannel });
  await agentConnected(stack, bus, uuid);
  await call(bus, rebootDomain, { mode: ['agent'] }, { target: uuid });
  await eventually(async () => (await stack.events(bus, uuid)).some((event) => event.class === 'reboot'), true, {
    timeoutMs: 60_000,
  });
  await eventually(() => call(bus, shutdownDomain, { mode: ['agent'] }, { target: uuid }).then(() => true), true, {
    timeoutMs: 60_000,
    intervalMs: 500,
  });
  await eventually(() => stack.state(bus, uuid), 'shutoff(shutdown)', { timeoutMs: 60_000 });
});

test('a reboot that the guest has not heard of does not turn a later shutdown into one', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'deaf', linux: true, devices: agentChannel });
  await agentConnected(stack, bus, uuid);
  await guestSays(bus, uuid, 'killall acpid && echo power button is "off"', 'power button is off');
  await call(bus, rebootDomain, { mode: ['acpi'] }, { target: uuid });
  await call(bus, shutdownDomain, { mode: ['agent'] }, { target: uuid });
  await eventually(() => stack.state(bus, uuid), 'shutoff(shutdown)', { timeoutMs: 60_000 });
  expect((await stack.events(bus, uuid)).filter((event) => event.class === 'reboot')).toEqual([]);
});

test('a transient domain vanishes when it stops, and is destroyed at once', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { domain } = await call(bus, createDomain, { xml: await stack.domainXml({ name: 'brief' }) });
  expect(domain).toMatchObject({ state: 'running', persistent: false });
  await call(bus, destroyDomain, {}, { target: domain.uuid });
  expect((await call(bus, listDomains, {})).domains).toEqual([]);
  const last = (await stack.events(bus, domain.uuid)).at(-1);
  expect(last).toMatchObject({ type: 'stopped', detail: 'destroyed' });
});

test('a list says which sequence it includes, and tailing from there misses nothing; what it repeats is told by the revision', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'tail' });
  const { asOf, domains } = await call(bus, listDomains, {});
  await call(bus, suspendDomain, {}, { target: uuid });
  await call(bus, resumeDomain, {}, { target: uuid });
  // The guest may have more to tell at any moment.
  const now = (await call(bus, getDomain, {}, { target: uuid })).domain.revision;
  const stored = async (): Promise<number> => (await stack.events(bus, uuid)).at(-1)?.domain.revision ?? 0;
  await eventually(stored, (revision) => revision >= now, { timeoutMs: 20_000 });
  let revision = domains[0]!.revision;
  const since = { sequence: asOf + 1 };
  for await (const { event } of tail(bus, { filter: eventFilter({ uuid }), since, once: true })) {
    if (event.domain.revision <= revision) continue;
    expect(event.domain.revision).toBe(++revision);
  }
  expect(revision).toBeGreaterThanOrEqual(now);
});

const agentChannel = `<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`;

async function agentConnected(stack: Stack, bus: Bus, uuid: string): Promise<void> {
  const isTold = async (): Promise<boolean> =>
    (await stack.events(bus, uuid)).some((event) => event.class === 'agent' && event.type === 'connected');
  await eventually(isTold, true, { timeoutMs: 60_000 });
}
