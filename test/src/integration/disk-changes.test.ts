/** Disks of a running guest grow, are limited and watched, on real QEMU with a guest that sees and writes them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync, truncateSync } from 'node:fs';
import {
  attachDevice,
  destroyDomain,
  detachDevice,
  getDiskErrors,
  getDiskLimits,
  getDiskSizes,
  getDomainXml,
  qmpCommand,
  resizeDisk,
  resumeDomain,
  setDiskLimits,
  setDiskThreshold,
  showChain,
  startDomain,
  suspendDomain,
  updateDevice,
  type Contract,
  type DiskLimits,
  type RequestInput,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, findProgram, requirement, Stack, temporaryFolder, tinyGuestBooted } from '@virtbus/testkit';
import { disk, guestSays, nodeNames, overlay, qemuImg, rawImage } from './storage-stand';

jest.setTimeout(240_000);

const mib = 1024 ** 2;
const group = '<iotune><total_iops_sec>900</total_iops_sec><group_name>shared</group_name></iotune>';
const cdrom = `<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>`;

const needsLoop = requirement('root, loop devices', () => {
  if (process.getuid?.() !== 0 || !findProgram('losetup')) return false;
  execFileSync('losetup', ['--find']);
  return true;
});

const needsTmpfs = requirement('root that may mount tmpfs', () => {
  using folder = temporaryFolder();
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder.path]);
  execFileSync('umount', [folder.path]);
  return true;
});

let stack: Stack;
let bus: Bus;
let uuid: string;
/** Images by the disk that stands on them. */
const images: Record<string, string> = {};

beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
  const base = rawImage(stack.folder.file('base.img'), 'base', 16 * mib);
  images.vda = overlay(stack.folder.file('top.qcow2'), base, 'raw');
  for (const target of ['vdb', 'vdc', 'vdd'])
    images[target] = rawImage(stack.folder.file(`${target}.img`), target, 8 * mib);
  const devices = [
    disk(images.vda, 'qcow2', group),
    disk(images.vdb!, 'raw', '', 'vdb'),
    disk(images.vdc!, 'raw', group, 'vdc'),
    disk(images.vdd!, 'raw', '<readonly/>', 'vdd'),
    cdrom,
    `<controller type='pci' model='pcie-root-port'/>`.repeat(8),
  ];
  ({ uuid } = await stack.run(bus, { name: 'disks', linux: true, devices: devices.join('') }));
  await stack.consoleShows(bus, uuid, tinyGuestBooted);
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const ask = <C extends Contract>(contract: C, request: RequestInput<C>) =>
  call(bus, contract, request, { target: uuid });

/** Code and words of a refusal. */
const refused = async <C extends Contract>(contract: C, request: RequestInput<C>): Promise<string> =>
  ask(contract, request).then(
    () => 'accepted',
    (error: { code: string; message: string }) => `${error.code} ${error.message}`,
  );

const guestSees = (target: string, bytes: number): Promise<void> =>
  guestSays(bus, uuid, `echo size=$(cat /sys/block/${target}/size)`, `size=${bytes / 512}`);

const told = async (kind: string): Promise<unknown[]> =>
  (await stack.events(bus, uuid)).filter((event) => `${event.class}.${event.type}` === kind).map(({ data }) => data);

/** The number of a disk's active image. */
async function numberOf(target: string): Promise<string> {
  const { xml = '' } = await ask(getDomainXml, {});
  const found = xml.split('<disk ').find((text) => text.includes(`<target dev='${target}'`));
  return /<source [^>]*index='(\d+)'/.exec(found ?? '')?.[1] ?? '';
}

interface Inserted {
  iops: number;
  bps: number;
  bps_max?: number;
  bps_max_length?: number;
  group?: string;
}

/** What QEMU itself says of a disk's limits. */
async function limitsInQemu(device: string): Promise<Inserted | undefined> {
  const { result } = await ask(qmpCommand, { execute: 'query-block' });
  const drives = result as { qdev?: string; inserted?: Inserted }[];
  return drives.find(({ qdev }) => qdev?.includes(device))?.inserted;
}

describe('the size of a disk', () => {
  test('grows while the guest runs, in the image and for the guest', async () => {
    expect(await ask(resizeDisk, { disk: 'vda', bytes: 24 * mib })).toMatchObject({ bytes: 24 * mib });
    await guestSees('vda', 24 * mib);
    const { 'virtual-size': size } = JSON.parse(qemuImg('info', '-U', '--output=json', images.vda!)) as Record<
      string,
      number
    >;
    expect(size).toBe(24 * mib);
    // The storage service looks at the image again.
    const kept = async (): Promise<number | undefined> => {
      const { chains } = await call(bus, showChain, { domain: uuid }, { target: 'h1' });
      return chains.find(({ target, running }) => running && target === 'vda')?.chain?.layers[0]?.capacity;
    };
    await eventually(kept, 24 * mib);
    expect(await ask(resizeDisk, { disk: images.vdb!, bytes: 12 * mib + 1 })).toMatchObject({ bytes: 12 * mib + 512 });
    await guestSees('vdb', 12 * mib + 512);
    expect(statSync(images.vdb!).size).toBe(12 * mib + 512);
    expect(await told('config.disk-size')).toEqual([
      { disk: 'vda', bytes: 24 * mib },
      { disk: 'vdb', bytes: 12 * mib + 512 },
    ]);
  });

  test('follows the file that a raw disk lies in', async () => {
    truncateSync(images.vdb!, 20 * mib);
    expect(await refused(resizeDisk, { disk: 'vdb', bytes: 19 * mib, capacity: true })).toMatch(
      /^INVALID_ARG .*block resize size \(19922944\) doesn't match the capacity of the disk \(20971520\)/,
    );
    expect(await ask(resizeDisk, { disk: 'vdb', capacity: true })).toMatchObject({ bytes: 20 * mib });
    await guestSees('vdb', 20 * mib);
    expect(await refused(resizeDisk, { disk: 'vda', capacity: true })).toMatch(
      /^OPERATION_UNSUPPORTED .*supported only with 'raw' disks/,
    );
  });

  needsLoop.test('follows a block device of the host', async () => {
    const file = rawImage(stack.folder.file('device.img'), 'device', 8 * mib);
    const device = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();
    try {
      const xml = `<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='${device}'/><target dev='vdl' bus='virtio'/></disk>`;
      await ask(attachDevice, { xml });
      truncateSync(file, 12 * mib);
      execFileSync('losetup', ['--set-capacity', device]);
      expect(await refused(resizeDisk, { disk: 'vdl', bytes: 16 * mib })).toMatch(/^OPERATION_FAILED .*Cannot grow/);
      expect(await ask(resizeDisk, { disk: 'vdl', capacity: true })).toMatchObject({ bytes: 12 * mib });
      const { disks } = await ask(getDiskSizes, { disk: 'vdl' });
      expect(disks[0]).toMatchObject({ path: device, capacity: 12 * mib, physical: 12 * mib });
      await ask(detachDevice, { xml });
      await eventually(() => told('device.removed').then((events) => events.length), 1, { timeoutMs: 30_000 });
    } finally {
      await eventually(() => void execFileSync('losetup', ['--detach', device]), undefined);
    }
  });

  test('shrinks only when that is said', async () => {
    expect(await refused(resizeDisk, { disk: 'vdb', bytes: 4 * mib })).toMatch(
      /^OPERATION_INVALID .*disk 'vdb' has 20971520 bytes: 4194304 would cut its end off/,
    );
    await guestSees('vdb', 20 * mib);
    await ask(resizeDisk, { disk: 'vdb', bytes: 16 * mib, shrink: true });
    await guestSees('vdb', 16 * mib);
  });

  test.each([
    ['a disk that is not there', { disk: 'vdz', bytes: mib }, /^INVALID_ARG .*disk 'vdz' not found in domain/],
    ['a path that no disk has', { disk: '/nowhere', bytes: mib }, /^INVALID_ARG .*disk '\/nowhere' not found/],
    ['a read-only disk', { disk: 'vdd', bytes: 99 * mib }, /^OPERATION_INVALID .*empty or readonly disk 'vdd'/],
    ['a drive without a medium', { disk: 'sda', bytes: 99 * mib }, /^OPERATION_INVALID .*empty or readonly disk 'sda'/],
    ['no size', { disk: 'vda' }, /^INVALID_ARG .*a new size is needed/],
    ['nothing', { disk: 'vda', bytes: 0 }, /^INVALID_ARG /],
  ])('is not changed for %s', async (_, request, words) => {
    expect(await refused(resizeDisk, request)).toMatch(words);
  });
});

describe('limits on the traffic of a disk', () => {
  test('of the definition hold from the start, and a group shares them', async () => {
    for (const device of ['virtio-disk0', 'virtio-disk2'])
      expect(await limitsInQemu(device)).toMatchObject({ iops: 900, group: 'shared' });
    expect(await ask(getDiskLimits, { disk: 'vdc' })).toEqual({ totalIops: 900, group: 'shared' });
    await ask(setDiskLimits, { disk: 'vdc', totalIops: 700, affect: 'both' });
    expect(await limitsInQemu('virtio-disk0')).toMatchObject({ iops: 700 });
    for (const affect of ['live', 'config'] as const)
      expect(await ask(getDiskLimits, { disk: 'vda', affect })).toEqual({ totalIops: 700, group: 'shared' });
  });

  test('are set live and in the definition, and lifted', async () => {
    const limits: DiskLimits = { totalBytes: mib, totalBytesMax: 2 * mib, totalBytesMaxSeconds: 3 };
    await ask(setDiskLimits, { disk: 'vdb', ...limits, affect: 'live' });
    expect(await limitsInQemu('virtio-disk1')).toMatchObject({ bps: mib, bps_max: 2 * mib, bps_max_length: 3 });
    expect(await ask(getDiskLimits, { disk: 'vdb' })).toEqual(limits);
    expect(await ask(getDiskLimits, { disk: 'vdb', affect: 'config' })).toEqual({});
    const { xml = '' } = await ask(getDomainXml, {});
    expect(xml).toContain('<total_bytes_sec_max_length>3</total_bytes_sec_max_length>');
    expect(await told('tunable.disk')).toContainEqual({ disk: 'vdb', ...limits, affect: ['live'] });

    // What is left out of a kind of which something is given is lifted; another kind stays.
    await ask(setDiskLimits, { disk: 'vdb', readIops: 50, affect: 'live' });
    expect(await ask(getDiskLimits, { disk: 'vdb' })).toEqual({ ...limits, readIops: 50 });
    const none = { totalBytes: 0, totalBytesMax: 0, totalBytesMaxSeconds: 0, readIops: 0 };
    await ask(setDiskLimits, { disk: 'vdb', ...none, affect: 'live' });
    expect(await ask(getDiskLimits, { disk: 'vdb' })).toEqual({});
    expect(await limitsInQemu('virtio-disk1')).toMatchObject({ bps: 0, iops: 0 });
  });

  test('hold the guest back', async () => {
    await ask(setDiskLimits, { disk: 'vdb', totalBytes: mib, affect: 'live' });
    const read = 'dd if=/dev/vdb of=/dev/null bs=64k count=40 iflag=direct 2>/dev/null';
    const begun = performance.now();
    await guestSays(bus, uuid, `${read}; echo read=$?`, 'read=0');
    // 2.5 MiB at 1 MiB a second, of which QEMU lets a tenth of a second's worth go at once.
    expect(performance.now() - begun).toBeGreaterThan(2_000);
    await ask(setDiskLimits, { disk: 'vdb', totalBytes: 0, affect: 'live' });
  });

  test('come with a disk that is plugged in', async () => {
    const image = rawImage(stack.folder.file('vde.img'), 'vde');
    const iotune = '<iotune><write_iops_sec>77</write_iops_sec></iotune>';
    await ask(attachDevice, { xml: disk(image, 'raw', iotune, 'vde') });
    expect(await limitsInQemu('virtio-disk4')).toMatchObject({ iops_wr: 77 });
  });

  const tooMuch = '<iotune><read_iops_sec>2000000000000000</read_iops_sec></iotune>';

  test('that QEMU refuses keep a disk from joining: the guest gives it back', async () => {
    const nodes = await nodeNames(bus, uuid);
    const xml = disk(rawImage(stack.folder.file('vdf.img'), 'vdf'), 'raw', tooMuch, 'vdf');
    expect(await refused(attachDevice, { xml, affect: 'live' })).toMatch(/^OPERATION_FAILED .*must be within/);
    expect((await ask(getDomainXml, {})).xml).not.toContain("dev='vdf'");
    await eventually(() => nodeNames(bus, uuid), nodes);
  });

  test('that QEMU refuses do not make a disk be forgotten that the guest does not give back', async () => {
    const { uuid: deaf } = await stack.run(bus, { name: 'deaf' });
    const image = rawImage(stack.folder.file('vdg.img'), 'vdg');
    const xml = disk(image, 'raw', tooMuch, 'vdg');
    await expect(call(bus, attachDevice, { xml, affect: 'live' }, { target: deaf })).rejects.toMatchObject({
      code: 'OPERATION_FAILED',
      message: expect.stringMatching(/the guest has disk 'vdg' without its limits, and has not let go of it/),
    });
    const shown = (await call(bus, getDomainXml, {}, { target: deaf })).xml;
    expect(shown).toContain("dev='vdg'");
    expect(shown).not.toContain('<iotune>');
    const thief = await stack.define(bus, { name: 'thief', devices: disk(image, 'raw') });
    await call(bus, suspendDomain, {}, { target: deaf });
    await call(bus, resumeDomain, {}, { target: deaf });
    await expect(call(bus, startDomain, {}, { target: thief.uuid })).rejects.toMatchObject({ code: 'IMAGE_IN_USE' });
    await call(bus, destroyDomain, {}, { target: deaf });
  });

  test.each([
    ['a disk that is not there', { disk: 'vdz', totalBytes: 1 }, /^INVALID_ARG .*disk 'vdz' not found in domain/],
    [
      'a total beside its parts',
      { disk: 'vdb', totalBytes: 10, readBytes: 5 },
      /^INVALID_ARG .*total and read\/write of bytes_sec cannot be set at the same time/,
    ],
    [
      'a maximum without its rate',
      { disk: 'vdb', totalIopsMax: 10 },
      /^CONFIG_UNSUPPORTED .*value 'total_iops_sec_max' cannot be set if 'total_iops_sec' is not set/,
    ],
    [
      'a maximum below its rate',
      { disk: 'vdb', totalIops: 20, totalIopsMax: 10 },
      /^CONFIG_UNSUPPORTED .*value 'total_iops_sec_max' cannot be smaller than 'total_iops_sec'/,
    ],
    ['a drive without a medium', { disk: 'sda', totalIops: 5 }, /^OPERATION_INVALID .*drive 'sda' has no medium/],
    ['more than QEMU takes', { disk: 'vdb', totalBytes: 2e15 }, /^INVALID_ARG /],
  ])('are refused for %s', async (_, request, words) => {
    expect(await refused(setDiskLimits, { ...request, affect: 'live' })).toMatch(words);
    expect(await ask(getDiskLimits, { disk: 'vdb' })).toEqual({});
  });
});

test('the number of an image that is gone is given to no other, also after a crash of the driver', async () => {
  const medium = rawImage(stack.folder.file('medium.img'), 'medium', mib);
  const full = cdrom.replace('<target', `<source file='${medium}'/><target`);
  const insert = async (): Promise<number> => {
    await ask(updateDevice, { xml: full, affect: 'live' });
    return Number(await numberOf('sda'));
  };
  const eject = () => ask(updateDevice, { xml: cdrom, affect: 'live' });
  const first = await insert();
  await eject();
  await stack.restartDriver('h1');
  const second = await insert();
  await eject();
  expect(first).toBeGreaterThan(0);
  expect(second).toBeGreaterThan(first);
});

describe('a write threshold', () => {
  const exceeded = () => told('block-threshold.exceeded');
  const writes = (mibOffset: number): Promise<void> =>
    guestSays(
      bus,
      uuid,
      `dd if=/dev/zero of=/dev/vdc bs=64k count=1 seek=${mibOffset * 16} conv=notrunc,fsync 2>/dev/null; echo wrote=$?`,
      'wrote=0',
    );

  test('is told of once, and again when it is set again; by number when it was set so, also after a crash of the driver', async () => {
    const number = await numberOf('vdc');
    await ask(setDiskThreshold, { image: 'vdc', bytes: 4 * mib });
    await writes(2);
    expect(await exceeded()).toEqual([]);
    await writes(5);
    await writes(6);
    const event = { path: images.vdc, threshold: 4 * mib, excess: mib + 64 * 1024 };
    const first = [
      { image: 'vdc', ...event },
      { image: `vdc[${number}]`, ...event },
    ];
    await eventually(exceeded, first);

    await ask(setDiskThreshold, { image: `vdc[${number}]`, bytes: 6 * mib });
    await stack.restartDriver('h1');
    await writes(7);
    const second = { image: `vdc[${number}]`, path: images.vdc, threshold: 6 * mib, excess: mib + 64 * 1024 };
    await eventually(exceeded, [...first, second]);

    await ask(setDiskThreshold, { image: 'vdc', bytes: mib });
    await ask(setDiskThreshold, { image: 'vdc', bytes: 0 });
    await writes(3);
    expect(await exceeded()).toEqual([...first, second]);
  });

  test('is set on an image below, which nobody writes to', async () => {
    const { xml = '' } = await ask(getDomainXml, {});
    const base = /<backingStore type='file' index='(\d+)'/.exec(xml)?.[1];
    await ask(setDiskThreshold, { image: `vda[${base}]`, bytes: mib });
    const { result } = await ask(qmpCommand, { execute: 'query-named-block-nodes', arguments: { flat: true } });
    const nodes = result as { 'node-name': string; write_threshold: number }[];
    expect(nodes.find((node) => node['node-name'] === `libvirt-${base}-storage`)?.write_threshold).toBe(mib);
  });

  test.each([
    ['a layer that is not there', 'vda[99]', /^INVALID_ARG .*failed to find disk 'vda\[99\]'/],
    ['a disk that is not there', 'vdz', /^INVALID_ARG .*failed to find disk 'vdz'/],
    ['a name that is none', 'vda[', /^INVALID_ARG .*failed to parse block device 'vda\['/],
    ['a drive without a medium', 'sda', /^INVALID_ARG .*failed to find disk 'sda'/],
  ])('is refused for %s', async (_, image, words) => {
    expect(await refused(setDiskThreshold, { image, bytes: mib })).toMatch(words);
  });
});

needsTmpfs.test(
  'a disk without room pauses its guest and is named, until there is room and the guest goes on',
  async () => {
    const folder = stack.folder.file('full');
    mkdirSync(folder, { mode: 0o755 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1M,mode=755', 'tmpfs', folder]);
    try {
      const xml = disk(rawImage(`${folder}/f.img`, 'full'), 'raw', '', 'vdf');
      await ask(attachDevice, { xml });
      // A plugged disk is there a moment later.
      await guestSays(bus, uuid, 'until [ -b /dev/vdf ]; do sleep 0.1; done; echo plugged=$?', 'plugged=0');
      const write = 'dd if=/dev/zero of=/dev/vdf bs=64k count=32 conv=fsync';
      const written = guestSays(bus, uuid, `${write} 2>/dev/null; echo full=$?`, 'full=0');
      written.catch(() => undefined);
      await eventually(() => stack.state(bus, uuid), 'paused(ioerror)', { timeoutMs: 30_000 });
      expect(await ask(getDiskErrors, {})).toEqual({ errors: [{ disk: 'vdf', error: 'no-space' }] });
      execFileSync('mount', ['-o', 'remount,size=16M', folder]);
      await ask(resumeDomain, {});
      await written;
      expect(await ask(getDiskErrors, {})).toEqual({ errors: [] });
      await ask(detachDevice, { xml });
      const listed = async (): Promise<string[]> => (await ask(getDiskSizes, {})).disks.map(({ disk: name }) => name);
      await eventually(async () => (await listed()).includes('vdf'), false);
    } finally {
      execFileSync('umount', ['--lazy', folder]);
    }
  },
);

test('sizes are told of a guest that runs and of one that does not; what needs a guest is refused without one', async () => {
  const { disks } = await ask(getDiskSizes, {});
  expect(disks.map((one) => [one.disk, one.capacity])).toEqual([
    ['vda', 24 * mib],
    ['vdb', 16 * mib],
    ['vdc', 8 * mib],
    ['vdd', 8 * mib],
    ['vde', 4 * mib],
    ['sda', undefined],
  ]);
  await ask(destroyDomain, {});

  const { disks: off } = await ask(getDiskSizes, { disk: 'vda' });
  expect(off).toEqual([
    {
      disk: 'vda',
      path: images.vda,
      capacity: 24 * mib,
      physical: statSync(images.vda!).size,
      allocation: statSync(images.vda!).blocks * 512,
    },
  ]);
  for (const refusal of [
    refused(resizeDisk, { disk: 'vda', bytes: 32 * mib }),
    refused(setDiskThreshold, { image: 'vda', bytes: mib }),
    refused(getDiskErrors, {}),
    refused(setDiskLimits, { disk: 'vda', totalIops: 1, affect: 'live' }),
  ])
    expect(await refusal).toMatch(/^OPERATION_INVALID .*domain is not running/);
  await ask(setDiskLimits, { disk: 'vdb', group: 'shared' });
  expect(await ask(getDiskLimits, { disk: 'vdb' })).toEqual({ totalIops: 700, group: 'shared' });
  await ask(startDomain, {});
  expect(await limitsInQemu('virtio-disk1')).toMatchObject({ iops: 700, group: 'shared' });
});
