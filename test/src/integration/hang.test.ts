/** A guest whose QEMU hangs harms itself only. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  attachDevice,
  destroyDomain,
  detachDevice,
  getDomainXml,
  qmpCommand,
  resumeDomain,
  saveDomain,
  setMemory,
  statsOfDomains,
  suspendDomain,
} from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';
import { disk, nodeNames, rawImage } from './storage-stand';

jest.setTimeout(240_000);

test('commands to a stopped QEMU end in a typed time-out by their deadline, others go on, destroy works', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const stuck = await stack.run(bus, { name: 'stuck' });
  const well = await stack.run(bus, { name: 'well' });
  const pid = stack.pidOf(stuck.uuid);
  process.kill(pid, 'SIGSTOP');

  await expect(call(bus, suspendDomain, {}, { target: stuck.uuid, timeoutMs: 1_500 })).rejects.toMatchObject({
    code: 'OPERATION_TIMEOUT',
  });
  await call(bus, suspendDomain, {}, { target: well.uuid });
  await call(bus, resumeDomain, {}, { target: well.uuid });
  await expect(call(bus, setMemory, { kib: 16_384 }, { target: stuck.uuid, timeoutMs: 1_000 })).rejects.toMatchObject({
    code: 'OPERATION_TIMEOUT',
  });
  const { stats } = await call(bus, statsOfDomains, {});
  expect(stats.map(({ name }) => name).sort()).toEqual(['stuck', 'well']);

  await call(bus, destroyDomain, {}, { target: stuck.uuid });
  expect(await stack.state(bus, stuck.uuid)).toBe('shutoff(destroyed)');
  expect(stack.guestPids()).toHaveLength(1);
});

test('a guest that was paused for a save which failed goes on when its QEMU answers again, however late', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'unsaved' });
  const pid = stack.pidOf(uuid);
  process.kill(pid, 'SIGSTOP');
  const save = call(bus, saveDomain, { path: stack.folder.file('image') }, { target: uuid, timeoutMs: 3_000 });
  await expect(save).rejects.toMatchObject({ code: 'OPERATION_TIMEOUT' });
  // By then nobody waits in QEMU's line to let it run.
  await stack.drivers.get('h1')!.waitFor('may stand still', { timeoutMs: 80_000 });
  process.kill(pid, 'SIGCONT');
  const isPaused = async (): Promise<boolean> =>
    (await stack.events(bus, uuid)).some(({ type }) => type === 'suspended');
  await eventually(isPaused, true, { timeoutMs: 30_000 });
  await eventually(() => stack.state(bus, uuid), 'running(save-canceled)', { timeoutMs: 30_000 });
});

test('a device that QEMU adds after nobody waits for it any more is in the document, and can be taken away', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'late', linux: true });
  await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
  const xml = "<input type='keyboard' bus='virtio'/>";
  const keyboards = async (): Promise<number> =>
    (await call(bus, getDomainXml, {}, { target: uuid })).xml.split("<input type='keyboard' bus='virtio'>").length - 1;
  process.kill(stack.pidOf(uuid), 'SIGSTOP');
  await expect(call(bus, attachDevice, { xml }, { target: uuid, timeoutMs: 5_000 })).rejects.toMatchObject({
    code: 'OPERATION_TIMEOUT',
  });
  process.kill(stack.pidOf(uuid), 'SIGCONT');
  await eventually(keyboards, 1);
  await eventually(() => call(bus, detachDevice, { xml }, { target: uuid }).then(() => true), true);
  await eventually(keyboards, 0);
});

test.each(['a keyboard', 'a disk'])(
  'the document and QEMU agree about %s that was joining a guest when the driver died',
  async (what) => {
    await using stack = await Stack.start();
    const bus = await stack.connect();
    const { uuid } = await stack.run(bus, { name: 'agrees', linux: true });
    await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
    const before = await nodeNames(bus, uuid);
    const image = rawImage(stack.folder.file('more.img'), 'more');
    const xml = what === 'a disk' ? disk(image, 'raw', '', 'vdb') : "<input type='keyboard' bus='virtio'/>";
    const record = join(stack.folder.path, 'state', 'hosts', 'h1', 'qemu', 'domains', uuid, 'record.json');
    process.kill(stack.pidOf(uuid), 'SIGSTOP');
    const attached = call(bus, attachDevice, { xml }, { target: uuid, timeoutMs: 5_000 }).catch(() => undefined);
    await eventually(() => readFileSync(record, 'utf8').includes('"joining"'), true);
    await stack.restartDriver('h1', async () => void process.kill(stack.pidOf(uuid), 'SIGCONT'));
    await attached;
    await eventually(() => readFileSync(record, 'utf8').includes('"joining"'), false);
    const added = async (): Promise<boolean> =>
      /<target dev='vdb'|<input type='keyboard' bus='virtio'>/.test(
        (await call(bus, getDomainXml, {}, { target: uuid })).xml!,
      );
    const execute = 'qom-list';
    const asked = { execute, arguments: { path: '/machine/peripheral' } };
    const { result } = await call(bus, qmpCommand, asked, { target: uuid });
    const has = (result as { name: string }[]).some(({ name }) => /^(input\d|virtio-disk1)$/.test(name));
    expect(await added()).toBe(has);
    // Nothing is in its way, whichever it was.
    if (!has) expect(await nodeNames(bus, uuid)).toEqual(before);
    if (!has) await call(bus, attachDevice, { xml }, { target: uuid });
    await eventually(() => call(bus, detachDevice, { xml }, { target: uuid }).then(() => true), true);
    await eventually(added, false);
    await eventually(() => nodeNames(bus, uuid), before);
  },
);

test('a stopped QEMU is adopted by a restarted driver, and obeys when it goes on', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'frozen' });
  const pid = stack.pidOf(uuid);
  process.kill(pid, 'SIGSTOP');
  await stack.restartDriver('h1');
  expect(await stack.state(bus, uuid)).toBe('running(booted)');
  process.kill(pid, 'SIGCONT');
  const suspended = async (): Promise<boolean> => {
    await call(bus, suspendDomain, {}, { target: uuid, timeoutMs: 2_000 });
    return true;
  };
  await eventually(suspended, true, { timeoutMs: 30_000 });
  expect(stack.pidOf(uuid)).toBe(pid);
});
