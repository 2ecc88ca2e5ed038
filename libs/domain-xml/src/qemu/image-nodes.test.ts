import type { Disk } from '../elements/disk';
import { withOverlay } from '../block';
import { parseDomain } from '../parse-domain';
import type { Guest } from './context';
import { imageCreation } from './image-creation';
import { chainLayers, imageNodes, imageRemoval, imageReopen } from './image-nodes';
import { nextIndex } from './block-chain';

const xml = `<domain type='qemu'><name>web1</name><memory>65536</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
  <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='/i/top.qcow2' index='2'/>
    <backingStore type='file' index='3'><format type='raw'/><source file='/i/base.raw'/><backingStore/></backingStore>
    <target dev='vda' bus='virtio'/></disk></devices></domain>`;

function guestWith(...flags: string[]): Guest & { disk: Disk } {
  const { domain } = parseDomain(xml, { mode: 'live' });
  const context = { capabilities: { flags: new Set(flags) } } as unknown as Guest['context'];
  return { domain, context, disk: domain.devices.disks[0] as Disk };
}

const overlay = {
  type: 'file' as const,
  source: { file: '/i/snap.qcow2', index: 4, hosts: [], seclabels: [] },
  format: { type: 'qcow2' as const },
};

test('the next image gets a number that none had, also of those that are gone', () => {
  const { domain } = guestWith();
  expect(nextIndex(domain)).toBe(4);
  expect(nextIndex(domain, 9)).toBe(9);
});

test('an overlay is added by itself: its storage, then its format on nothing; and is taken away in reverse', () => {
  const { disk, ...guest } = guestWith();
  const snapped = withOverlay(disk, overlay);
  const { storage, format, layers } = imageNodes(guest, snapped, 0, { backing: null });
  expect(layers).toEqual({ storage: 'libvirt-4-storage', format: 'libvirt-4-format', top: 'libvirt-4-format' });
  expect(storage.map(({ arguments: args }) => args)).toEqual([
    {
      driver: 'file',
      filename: '/i/snap.qcow2',
      'node-name': 'libvirt-4-storage',
      'auto-read-only': true,
      discard: 'unmap',
      cache: { direct: true, 'no-flush': false },
    },
  ]);
  expect(format.map(({ arguments: args }) => args)).toEqual([
    {
      'node-name': 'libvirt-4-format',
      'read-only': false,
      cache: { direct: true, 'no-flush': false },
      driver: 'qcow2',
      file: 'libvirt-4-storage',
      backing: null,
    },
  ]);
  expect(imageRemoval(guest, snapped, 0)).toEqual([
    { command: 'blockdev-del', arguments: { 'node-name': 'libvirt-4-format' } },
    { command: 'blockdev-del', arguments: { 'node-name': 'libvirt-4-storage' } },
  ]);
});

test('an image below is opened again for writing with all that it was opened with', () => {
  const { disk, ...guest } = guestWith();
  const { command, arguments: args } = imageReopen(guest, disk, 1, false);
  expect(command).toBe('blockdev-reopen');
  expect(args['options']).toEqual([
    expect.objectContaining({ 'node-name': 'libvirt-3-format', 'read-only': false, file: 'libvirt-3-storage' }),
  ]);
  expect(imageReopen(guest, disk, 0, true).arguments['options']).toEqual([
    expect.objectContaining({ 'node-name': 'libvirt-2-format', backing: 'libvirt-3-format', 'read-only': true }),
  ]);
});

test('a raw image is its storage alone where QEMU can record raw all the same', () => {
  const told = (...flags: string[]) => {
    const { disk, ...guest } = guestWith(...flags);
    return chainLayers(guest, disk).map(({ top }) => top);
  };
  expect(told()).toEqual(['libvirt-2-format', 'libvirt-3-format']);
  expect(told('blockjob.backing-mask-protocol')).toEqual(['libvirt-2-format', 'libvirt-3-storage']);
});

test('a new image is like the one it stands on: cluster size, version, subclusters', () => {
  const { disk, ...guest } = guestWith();
  const { format } = imageCreation(guest, withOverlay(disk, overlay), 0, {
    capacity: 1 << 20,
    backing: { string: '/i/top.qcow2', format: 'qcow2' },
    clusterSize: 131072,
    compat: '1.1',
    extendedL2: true,
  });
  expect(format).toEqual({
    driver: 'qcow2',
    version: 'v3',
    'backing-file': '/i/top.qcow2',
    'backing-fmt': 'qcow2',
    'cluster-size': 131072,
    'extended-l2': true,
    file: 'libvirt-4-storage',
    size: 1 << 20,
  });
});
