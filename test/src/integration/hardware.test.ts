/** Devices, memory, processors, screen and keyboard of a running guest, on real QEMU. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import {
  abortJob,
  agentCommand,
  attachDevice,
  defineDomain,
  destroyDomain,
  detachDevice,
  getDomain,
  getDomainXml,
  managedSave,
  qmpCommand,
  renameDomain,
  saveDomain,
  screenshot,
  sendKey,
  setAutostart,
  setMemory,
  setMetadata,
  setVcpus,
  startDomain,
  statsOfDomain,
  suspendDomain,
  undefineDomain,
  getMetadata,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsRoot, Stack } from '@virtbus/testkit';

jest.setTimeout(240_000);

const rootPort = `<controller type='pci' model='pcie-root-port'/>`;
const agent = `<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`;
const display = `<graphics type='vnc' port='-1' autoport='yes'/><video><model type='vga'/></video>`;

async function types(stack: Stack, bus: Bus, uuid: string): Promise<string[]> {
  return (await stack.events(bus, uuid)).map((event) => `${event.class}.${event.type}`);
}

test('a disk, a card and a channel join a running Linux guest and leave it; nothing of them stays', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const devices = agent + rootPort.repeat(8) + `<memballoon model='virtio'/>`;
  const { uuid } = await stack.run(bus, { name: 'plug', linux: true, devices });
  await stack.consoleShows(bus, uuid, 'tiny-guest: booted');
  const image = stack.folder.file('data.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '16M']);
  const disk = `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${image}'/><target dev='vdb' bus='virtio'/></disk>`;
  const { device } = await call(bus, attachDevice, { xml: disk, affect: 'both' }, { target: uuid });
  expect(device).toContain("<alias name='virtio-disk1'/>");
  await stack.consoleShows(bus, uuid, 'disk vda 16 MiB appeared');
  const card = `<interface type='user'><mac address='52:54:00:aa:bb:cc'/><model type='virtio'/></interface>`;
  await call(bus, attachDevice, { xml: card }, { target: uuid });
  await expect(call(bus, attachDevice, { xml: disk }, { target: uuid })).rejects.toMatchObject({
    message: expect.stringContaining("target 'vdb' already exists") as string,
  });
  const { result } = await call(bus, qmpCommand, { execute: 'query-named-block-nodes' }, { target: uuid });
  expect((result as { 'node-name': string }[]).every((node) => !node['node-name'].startsWith('#'))).toBe(true);

  await call(bus, detachDevice, { xml: card }, { target: uuid });
  await call(bus, detachDevice, { xml: disk, affect: 'both' }, { target: uuid });
  const removed = async (): Promise<number> =>
    (await types(stack, bus, uuid)).filter((type) => type === 'device.removed').length;
  await eventually(removed, 2, { timeoutMs: 30_000 });
  const nodes = async (): Promise<unknown> =>
    (await call(bus, qmpCommand, { execute: 'query-named-block-nodes' }, { target: uuid })).result;
  await eventually(nodes, []);
  const { xml } = await call(bus, getDomainXml, { inactive: true }, { target: uuid });
  expect(xml).not.toContain('vdb');
  await expect(call(bus, detachDevice, { xml: disk }, { target: uuid })).rejects.toMatchObject({
    code: 'DEVICE_MISSING',
  });
  // A device that cannot be is refused whole: no node of it stays behind.
  const missing = disk.replace(image, '/nowhere.qcow2');
  await expect(call(bus, attachDevice, { xml: missing }, { target: uuid })).rejects.toMatchObject({
    message: expect.stringContaining('/nowhere.qcow2') as string,
  });
  expect(await nodes()).toEqual([]);
  // The agent answers in between.
  await eventually(
    () => call(bus, agentCommand, { execute: 'guest-ping' }, { target: uuid }).then(({ result }) => result),
    {},
    { timeoutMs: 30_000, intervalMs: 500 },
  );
  const { stats } = await call(bus, statsOfDomain, {}, { target: uuid });
  expect(stats.cpu!.timeNs).toBeGreaterThan(0);
  expect(stats.balloon!.rssKiB).toBeGreaterThan(1_000);
  expect(stats.vcpu!.vcpus).toHaveLength(1);
});

test('memory, processors, screen, keys, metadata and autostart change live and in the definition', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const spec = { name: 'knobs', devices: display + `<memballoon model='virtio'/>`, memoryMib: 64 };
  const xml = (await stack.domainXml(spec)).replace('<vcpu>1</vcpu>', `<vcpu current='1'>2</vcpu>`);
  const { uuid } = (await call(bus, defineDomain, { xml })).domain;
  const target = { target: uuid };
  await call(bus, setMemory, { kib: 131_072, maximum: true, affect: 'config' }, target);
  await call(bus, startDomain, {}, target);
  expect((await call(bus, getDomain, {}, target)).domain).toMatchObject({ maxMemoryKiB: 131_072, memoryKiB: 65_536 });
  await call(bus, setVcpus, { count: 2 }, target);
  expect((await call(bus, getDomain, {}, target)).domain.vcpus).toBe(2);
  await expect(call(bus, setVcpus, { count: 3 }, target)).rejects.toMatchObject({ code: 'INVALID_ARG' });
  const { mime, data } = await call(bus, screenshot, {}, target);
  expect(mime).toBe('image/png');
  expect(Buffer.from(data, 'base64').subarray(1, 4).toString()).toBe('PNG');
  await call(bus, sendKey, { keys: ['KEY_LEFTCTRL', 'KEY_C'] }, target);
  await expect(call(bus, sendKey, { keys: ['KEY_NONSENSE'] }, target)).rejects.toMatchObject({ code: 'INVALID_ARG' });
  await call(bus, setMetadata, { type: 'title', value: 'Front end', affect: 'both' }, target);
  await call(
    bus,
    setMetadata,
    { type: 'element', uri: 'urn:x', key: 'x', value: '<a b="1"/>', affect: 'both' },
    target,
  );
  expect((await call(bus, getMetadata, { type: 'element', uri: 'urn:x' }, target)).value).toContain('b="1"');
  await call(bus, setAutostart, { enabled: true }, target);
  await expect(call(bus, renameDomain, { name: 'other' }, target)).rejects.toMatchObject({ code: 'OPERATION_INVALID' });
  await call(bus, destroyDomain, {}, target);
  await call(bus, renameDomain, { name: 'other' }, target);
  expect((await call(bus, getDomain, {}, { target: 'other' })).domain).toMatchObject({
    title: 'Front end',
    autostart: true,
  });
});

test('a managed save comes back at the next start; a failed save leaves the guest running and no file', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const { uuid } = await stack.run(bus, { name: 'kept', linux: true, append: 'tiny.counter' });
  const target = { target: uuid };
  await stack.consoleShows(bus, uuid, 'count 2');
  await expect(call(bus, saveDomain, { path: '/nowhere/x.save' }, target)).rejects.toMatchObject({
    message: expect.stringContaining('/nowhere/x.save') as string,
  });
  await eventually(() => stack.state(bus, uuid), 'running(save-canceled)');
  await expect(call(bus, abortJob, {}, target)).rejects.toMatchObject({ code: 'OPERATION_INVALID' });
  await call(bus, managedSave, {}, target);
  expect((await call(bus, getDomain, {}, target)).domain).toMatchObject({
    state: 'shutoff',
    reason: 'saved',
    managedSave: true,
  });
  await expect(call(bus, undefineDomain, {}, target)).rejects.toMatchObject({ code: 'OPERATION_INVALID' });
  await call(bus, startDomain, {}, target);
  expect((await call(bus, getDomain, {}, target)).domain).toMatchObject({
    state: 'running',
    reason: 'restored',
    managedSave: false,
  });
  await stack.consoleShows(bus, uuid, 'tiny-guest: count');
});

needsRoot().test(
  'an interface on a bridge gets a tap of its own, which goes with the guest, also with one that dies while nobody looks',
  async () => {
    const bridge = `vbt${process.pid % 100_000}`;
    const uplink = `${bridge}up`;
    // As high as a random address gets: a bridge takes the lowest of its ports for its own.
    const address = 'fe:ff:fe:00:00:01';
    const far = ['peer', 'name', `${bridge}far`];
    execFileSync('ip', ['link', 'add', uplink, 'address', address, 'type', 'veth', ...far]);
    try {
      execFileSync('ip', ['link', 'add', bridge, 'type', 'bridge']);
      execFileSync('ip', ['link', 'set', uplink, 'master', bridge]);
      await using stack = await Stack.start();
      const bus = await stack.connect();
      const devices = `<interface type='bridge'><source bridge='${bridge}'/><model type='virtio'/></interface>`;
      const { uuid } = await stack.run(bus, { name: 'bridged', devices });
      const ports = (): string[] => readdirSync(`/sys/class/net/${bridge}/brif`).filter((name) => name !== uplink);
      expect(ports()).toEqual([expect.stringMatching(/^vnet\d+$/)]);
      expect(readFileSync(`/sys/class/net/${bridge}/address`, 'utf8').trim()).toBe(address);
      await call(bus, suspendDomain, {}, { target: uuid });
      await call(bus, destroyDomain, {}, { target: uuid });
      expect(ports()).toEqual([]);
      // All at once: none takes a name that another has just found free.
      const others = await Promise.all(
        Array.from({ length: 4 }, (_, n) => stack.run(bus, { name: `bridged${n}`, devices, memoryMib: 16 })),
      );
      expect(ports()).toHaveLength(others.length);
      await Promise.all(others.map(({ uuid: other }) => call(bus, destroyDomain, {}, { target: other })));
      expect(ports()).toEqual([]);
      await call(bus, startDomain, {}, { target: uuid });
      expect(ports()).toHaveLength(1);
      await stack.restartDriver('h1', async () => {
        for (const pid of stack.guestPids()) process.kill(pid, 'SIGKILL');
        await eventually(() => stack.guestPids().length, 0);
      });
      await eventually(() => stack.state(bus, uuid), 'shutoff(crashed)');
      expect(ports()).toEqual([]);
    } finally {
      for (const link of [uplink, bridge]) spawnSync('ip', ['link', 'delete', link]);
    }
  },
  120_000,
);
