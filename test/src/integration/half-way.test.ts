/** Changes of a running guest that go half way: document, definition and QEMU agree about what has come of them. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  attachDevice,
  commitBlocks,
  defineDomain,
  destroyDomain,
  detachDevice,
  getDiskLimits,
  getDomainXml,
  listBlockJobs,
  qmpCommand,
  setDiskLimits,
  setVcpus,
  startDomain,
  updateDevice,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsRoot, Stack } from '@virtbus/testkit';
import { disk, overlay, rawImage } from './storage-stand';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const qmp = async (uuid: string, execute: string, args?: object): Promise<unknown> =>
  (await call(bus, qmpCommand, { execute, arguments: args }, { target: uuid })).result;
const xmlOf = async (uuid: string, inactive = false): Promise<string> =>
  (await call(bus, getDomainXml, { inactive }, { target: uuid })).xml ?? '';

test('a definition that a block job changes while a device leaves keeps both changes', async () => {
  const base = rawImage(stack.folder.file('base.img'), 'base');
  const top = overlay(stack.folder.file('top.qcow2'), base, 'raw');
  const more = rawImage(stack.folder.file('more.img'), 'more');
  const leaving = disk(more, 'raw', '', 'vdb');
  // Without an operating system nobody lets go of a device: its removal takes its five seconds.
  const { uuid } = await stack.run(bus, { name: 'both', devices: disk(top, 'qcow2') });
  const target = { target: uuid };
  await call(bus, attachDevice, { xml: leaving, affect: 'both' }, target);
  await call(bus, commitBlocks, { disk: 'vda', active: true }, target);
  const state = async () => (await call(bus, listBlockJobs, {}, target)).jobs[0]?.state;
  await eventually(state, 'ready');
  const left = call(bus, detachDevice, { xml: leaving, affect: 'both' }, target);
  const [job] = (await qmp(uuid, 'query-jobs')) as { id: string }[];
  await qmp(uuid, 'job-complete', { id: job?.id });
  await eventually(state, undefined);
  await left;
  const defined = await xmlOf(uuid, true);
  expect(defined).toContain(`<source file='${base}'`);
  expect(defined).not.toContain('top.qcow2');
  expect(defined).not.toContain("dev='vdb'");
  await call(bus, destroyDomain, {}, target);
  await call(bus, startDomain, {}, target);
  await call(bus, destroyDomain, {}, target);
});

test('processors of which one cannot be plugged are as many as QEMU has', async () => {
  const xml = (await stack.domainXml({ name: 'cpus' })).replace('<vcpu>1<', "<vcpu current='1'>4<");
  const { uuid } = (await call(bus, defineDomain, { xml })).domain;
  await call(bus, startDomain, {}, { target: uuid });
  // Somebody has plugged the last one past us, under a name that we would give.
  const slots = (await qmp(uuid, 'query-hotpluggable-cpus')) as { type: string; props: object; 'qom-path'?: string }[];
  const last = slots.find((slot) => slot['qom-path'] === undefined)!;
  await qmp(uuid, 'device_add', { driver: last.type, id: 'vcpu3', ...last.props });
  const set = (count: number) => call(bus, setVcpus, { count, affect: 'live' }, { target: uuid });
  await expect(set(4)).rejects.toMatchObject({ code: 'OPERATION_FAILED' });
  expect(await qmp(uuid, 'query-cpus-fast')).toHaveLength(3);
  expect(await xmlOf(uuid)).toMatch(/<vcpu [^>]*current='3'>4</);
  const define = (maximum: number) =>
    call(bus, setVcpus, { count: maximum, maximum: true, affect: 'config' }, { target: uuid });
  await expect(define(100_000)).rejects.toMatchObject({ code: 'CONFIG_UNSUPPORTED' });
  expect(await xmlOf(uuid, true)).toMatch(/<vcpu [^>]*>4</);
  await call(bus, destroyDomain, {}, { target: uuid });
});

test('limits of a disk that QEMU takes too late are in the document', async () => {
  const image = rawImage(stack.folder.file('slow.img'), 'slow');
  const { uuid } = await stack.run(bus, { name: 'slow', devices: disk(image, 'raw') });
  const target = { target: uuid };
  process.kill(stack.pidOf(uuid), 'SIGSTOP');
  const limited = call(
    bus,
    setDiskLimits,
    { disk: 'vda', readIops: 77, affect: 'live' },
    { ...target, timeoutMs: 3_000 },
  );
  await expect(limited).rejects.toMatchObject({ code: 'OPERATION_TIMEOUT' });
  process.kill(stack.pidOf(uuid), 'SIGCONT');
  const inQemu = async () =>
    ((await qmp(uuid, 'query-block')) as { inserted?: { iops_rd: number } }[])[0]?.inserted?.iops_rd;
  await eventually(inQemu, 77);
  await eventually(() => call(bus, getDiskLimits, { disk: 'vda', affect: 'live' }, target), { readIops: 77 });
  await call(bus, destroyDomain, {}, target);
});

needsRoot().test('a card whose link is changed keeps its tap, which goes with the guest', async () => {
  const bridge = `vbh${process.pid % 100_000}`;
  execFileSync('ip', ['link', 'add', bridge, 'type', 'bridge']);
  try {
    const mac = '52:54:00:77:00:01';
    const card = (more: string): string =>
      `<interface type='bridge'><mac address='${mac}'/><source bridge='${bridge}'/><model type='virtio'/>${more}</interface>`;
    const { uuid } = await stack.run(bus, { name: 'linked', devices: card('') });
    const tap = /<target dev='(vnet\d+)'/.exec(await xmlOf(uuid))?.[1] ?? 'none';
    const xml = card("<link state='down'/>");
    await call(bus, updateDevice, { xml, affect: 'live' }, { target: uuid });
    expect(await xmlOf(uuid)).toContain(`<target dev='${tap}'/>`);
    expect(await xmlOf(uuid)).toContain("<link state='down'/>");
    await call(bus, updateDevice, { xml: card(`<target dev='${tap}'/>`), affect: 'live' }, { target: uuid });
    expect(await xmlOf(uuid)).not.toContain('<link');
    await call(bus, destroyDomain, {}, { target: uuid });
    expect(existsSync(`/sys/class/net/${tap}`)).toBe(false);
  } finally {
    execFileSync('ip', ['link', 'delete', bridge]);
  }
});
