/** A guest whose QEMU hangs harms itself only. */
import {
  attachDevice,
  destroyDomain,
  detachDevice,
  getDomainXml,
  resumeDomain,
  setMemory,
  statsOfDomains,
  suspendDomain,
} from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { eventually, Stack } from '@virtbus/testkit';

jest.setTimeout(120_000);

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

test('a device that QEMU adds after nobody waits for it any more is in the document, and can be taken away', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'late', linux: true });
  await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
  const xml = "<input type='keyboard' bus='virtio'/>";
  const keyboards = async (): Promise<number> =>
    (await call(bus, getDomainXml, {}, { target: uuid })).xml.split("<input type='keyboard' bus='virtio'>").length - 1;
  process.kill(stack.pidOf(uuid), 'SIGSTOP');
  await expect(call(bus, attachDevice, { xml }, { target: uuid, timeoutMs: 1_500 })).rejects.toMatchObject({
    code: 'OPERATION_TIMEOUT',
  });
  process.kill(stack.pidOf(uuid), 'SIGCONT');
  await eventually(keyboards, 1);
  await eventually(() => call(bus, detachDevice, { xml }, { target: uuid }).then(() => true), true);
  await eventually(keyboards, 0);
});

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
