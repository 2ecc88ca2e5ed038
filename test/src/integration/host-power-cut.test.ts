/** A host whose power fails: what its disk did not know yet is told, and what a user has set is as he set it. */
import { readFileSync } from 'node:fs';
import {
  defineDomain,
  definePool,
  destroyDomain,
  listDomains,
  resumeDomain,
  setAutostart,
  startDomain,
  startPool,
  storageEventFilter,
  suspendDomain,
  undefineDomain,
} from '@virtbus/shared';
import { call, tailStorage, type Bus } from '@virtbus/shared/bus';
import { eventually, HostDisk, needsHostDisk, Stack } from '@virtbus/testkit';

jest.setTimeout(180_000);

/** The host's services and guests end at once, and come back after its boot: the services by themselves. */
async function cutPower(stack: Stack, disk: HostDisk): Promise<void> {
  await Promise.all([stack.drivers.get('h1')!.stop('SIGKILL'), stack.storages.get('h1')!.stop('SIGKILL')]);
  for (const pid of stack.guestPids()) process.kill(pid, 'SIGKILL');
  await eventually(() => stack.guestPids().length, 0);
  disk.cut();
}

async function boot(stack: Stack, disk: HostDisk): Promise<void> {
  stack.within.set('h1', disk.within);
  await stack.startDriver('h1');
  await stack.driverReady('h1');
  await stack.startStorage('h1');
}

/** From now on what the host keeps is on that disk. */
async function onDisk(stack: Stack): Promise<HostDisk> {
  await Promise.all([stack.drivers.get('h1')!.stop(), stack.storages.get('h1')!.stop()]);
  const disk = HostDisk.under(stack.folder.file('state', 'hosts', 'h1'));
  await boot(stack, disk);
  return disk;
}

const listed = async (bus: Bus): Promise<string[]> =>
  (await call(bus, listDomains, {})).domains.map(({ name, state }) => `${name} ${state}`).sort();

const recordOf = (stack: Stack, uuid: string) =>
  JSON.parse(
    readFileSync(stack.folder.file('state', 'hosts', 'h1', 'qemu', 'domains', uuid, 'record.json'), 'utf8'),
  ) as { state: string; revision: number };

const host = needsHostDisk();

host.test(
  'guests that were started right before end in the log and in every list, and what follows is heard',
  async () => {
    await using stack = await Stack.start();
    const bus = await stack.connect();
    const { uuid: longAgo } = await stack.define(bus, { name: 'long-ago' });
    const { uuid: justNow } = await stack.define(bus, { name: 'just-now' });
    using disk = await onDisk(stack);
    await call(bus, startDomain, {}, { target: longAgo });
    disk.flush();
    for (const verb of [suspendDomain, resumeDomain]) await call(bus, verb, {}, { target: longAgo });
    await call(bus, startDomain, {}, { target: justNow });
    const before = await stack.events(bus);
    await cutPower(stack, disk);
    expect([recordOf(stack, longAgo).state, recordOf(stack, justNow).state]).toEqual(['running', 'shutoff']);
    await boot(stack, disk);
    await eventually(() => listed(bus), ['just-now shutoff', 'long-ago shutoff']);
    for (const uuid of [longAgo, justNow]) {
      const last = async (): Promise<string | undefined> => (await stack.events(bus, uuid)).at(-1)?.type;
      await eventually(last, 'stopped');
      await call(bus, startDomain, {}, { target: uuid });
      await eventually(last, 'started');
    }
    expect(await listed(bus)).toEqual(['just-now running', 'long-ago running']);
    const all = await stack.events(bus);
    expect(all.slice(0, before.length)).toEqual(before);
    for (const uuid of [longAgo, justNow]) {
      const revisions = all.filter(({ domain }) => domain.uuid === uuid).map(({ domain }) => domain.revision);
      expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
    }
    for (const target of [longAgo, justNow]) await call(bus, destroyDomain, {}, { target });
  },
);

host.test('what was defined, set or undefined right before is so afterwards', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  await stack.define(bus, { name: 'set' });
  await stack.define(bus, { name: 'undefined' });
  using disk = await onDisk(stack);
  await stack.define(bus, { name: 'defined' });
  await call(bus, setAutostart, { enabled: true }, { target: 'set' });
  await call(bus, undefineDomain, {}, { target: 'undefined' });
  await cutPower(stack, disk);
  await boot(stack, disk);
  await eventually(() => listed(bus), ['defined shutoff', 'set running']);
  await call(bus, defineDomain, { xml: await stack.domainXml({ name: 'undefined' }) });
  for (const target of ['defined', 'undefined']) await call(bus, startDomain, {}, { target });
  expect(await listed(bus)).toEqual(['defined running', 'set running', 'undefined running']);
});

host.test('what becomes of a pool is heard, also where its journal has lost its end', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  using disk = await onDisk(stack);
  const target = { path: stack.folder.path };
  await call(bus, definePool, { document: { type: 'dir', name: 'pool', target } }, { target: 'h1' });
  const told = async (): Promise<string[]> => {
    const filter = storageEventFilter({ entity: 'pool', name: 'pool' });
    const found: string[] = [];
    for await (const { event } of tailStorage(bus, { filter, since: 'all', once: true })) found.push(event.type);
    return found;
  };
  await eventually(told, ['defined']);
  await cutPower(stack, disk);
  await boot(stack, disk);
  await call(bus, startPool, { pool: 'pool' }, { target: 'h1' });
  await eventually(told, ['defined', 'started']);
});
