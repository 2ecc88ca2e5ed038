import { readXml } from '@virtbus/domain-xml';
import { diskXml } from './commands/disks';
import { interfaceXml } from './commands/interfaces';
import { disks, element, formatElement, interfaces, vcpuCounts } from './device-xml';
import { UsageError } from './spec';

describe('an element that is built from options', () => {
  test('reads back what a user typed, whatever it was', () => {
    const path = `/srv/a'b"c<d>&e\tf\ng.img`;
    const read = readXml(diskXml(path, 'vdb', { serial: `<'&">` }));
    expect(read.children.find(({ name }) => name === 'source')?.attributes.file).toBe(path);
    expect(read.children.find(({ name }) => name === 'serial')?.text).toBe(`<'&">`);
  });

  test('is refused with a character that XML cannot hold', () => {
    expect(() => formatElement(element('source', { file: '/a\u0001b' }))).toThrow(UsageError);
  });
});

describe('attach-disk', () => {
  test('makes a file disk on the bus that its target tells', () => {
    expect(diskXml('/srv/a.qcow2', 'vdb', { subdriver: 'qcow2', cache: 'none' })).toBe(
      `<disk type='file' device='disk'>\n  <driver name='qemu' type='qcow2' cache='none'/>\n  <source file='/srv/a.qcow2'/>\n  <target dev='vdb' bus='virtio'/>\n</disk>\n`,
    );
  });

  test('takes a device node as a block device, and no source as an empty drive', () => {
    expect(diskXml('/dev/sdc', 'sda', {})).toContain(`<disk type='block' device='disk'>\n  <source dev='/dev/sdc'/>`);
    expect(diskXml('', 'hdc', { type: 'cdrom', readonly: true })).toBe(
      `<disk type='file' device='cdrom'>\n  <target dev='hdc' bus='ide'/>\n  <readonly/>\n</disk>\n`,
    );
  });
});

describe('attach-interface', () => {
  test('names the source as its type wants it', () => {
    expect(interfaceXml('bridge', 'br0', { model: 'virtio' })).toBe(
      `<interface type='bridge'>\n  <source bridge='br0'/>\n  <model type='virtio'/>\n</interface>\n`,
    );
    expect(interfaceXml('user', undefined, {})).toBe(`<interface type='user'/>\n`);
  });

  test('refuses an unknown type, a missing source and a needless one', () => {
    for (const [type, source] of [
      ['wormhole', 'x'],
      ['bridge', undefined],
      ['user', 'br0'],
    ] as const) {
      expect(() => interfaceXml(type, source, {})).toThrow(UsageError);
    }
  });
});

const document = `<domain type='qemu'>
  <name>web1</name>
  <vcpu placement='static' current='2'>4</vcpu>
  <devices>
    <disk type='file' device='disk'><source file='/srv/a.img'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
    <disk type='network'><source protocol='nbd' name='export'/><target dev='vdb'/></disk>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><target dev='vnet0'/><model type='virtio'/></interface>
  </devices>
</domain>`;

test('disks of a document, with what they read from', () => {
  expect(disks(document).map(({ device, target, source }) => [device, target, source])).toEqual([
    ['disk', 'vda', '/srv/a.img'],
    ['cdrom', 'sda', undefined],
    ['disk', 'vdb', 'nbd:export'],
  ]);
});

test('interfaces of a document', () => {
  expect(interfaces(document)).toMatchObject([
    { type: 'bridge', mac: '52:54:00:00:00:01', target: 'vnet0', source: 'br0', model: 'virtio' },
  ]);
});

test('a device that was found is written as it was', () => {
  const first = disks(document)[0]!.element;
  expect(readXml(formatElement(first))).toMatchObject({ name: 'disk', attributes: { type: 'file', device: 'disk' } });
  expect(formatElement(first)).toContain(`<target dev='vda' bus='virtio'/>`);
});

test('present and greatest number of virtual CPUs', () => {
  expect(vcpuCounts(document)).toEqual({ current: 2, maximum: 4 });
  expect(vcpuCounts('<domain><vcpu>3</vcpu></domain>')).toEqual({ current: 3, maximum: 3 });
});
