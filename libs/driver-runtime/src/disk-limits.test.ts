import { diskNamed, parseDomain } from '@virtbus/domain-xml';
import { limitsOf, withDiskLimits } from './disk-limits';

const disk = (target: string, iotune = '') =>
  `<disk type='file'><source file='/i/${target}'/><target dev='${target}' bus='virtio'/>${iotune}</disk>`;
const shared = '<iotune><read_bytes_sec>5</read_bytes_sec><group_name>shared</group_name></iotune>';
const { domain } = parseDomain(
  `<domain type='qemu'><name>d</name><memory>1024</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>
    <devices>${disk('vda', shared)}${disk('vdb', shared)}${disk('vdc')}</devices></domain>`,
  { mode: 'inactive' },
);
const of = (changed: typeof domain, name: string) => limitsOf(diskNamed(changed, name));

test('disks of a group are limited together, and one that joins it gets its limits', () => {
  const slower = withDiskLimits(domain, 'vdb', { readBytes: 3 });
  for (const name of ['vda', 'vdb']) expect(of(slower, name)).toEqual({ readBytes: 3, group: 'shared' });
  const joined = withDiskLimits(domain, 'vdc', { group: 'shared', totalIops: 9 });
  for (const name of ['vda', 'vdb', 'vdc'])
    expect(of(joined, name)).toEqual({ readBytes: 5, totalIops: 9, group: 'shared' });
});

test('a disk that leaves its group keeps its limits, and the others theirs', () => {
  const left = withDiskLimits(domain, 'vda', { group: '' });
  expect(of(left, 'vda')).toEqual({ readBytes: 5 });
  expect(of(left, 'vdb')).toEqual({ readBytes: 5, group: 'shared' });
});

test('limits of a kind replace each other; nothing is left of limits that are lifted', () => {
  const both = withDiskLimits(domain, 'vdc', { totalBytes: 7, writeIops: 2 });
  const changed = withDiskLimits(both, 'vdc', { readBytes: 8, writeBytes: 4 });
  expect(of(changed, 'vdc')).toEqual({ readBytes: 8, writeBytes: 4, writeIops: 2 });
  const lifted = withDiskLimits(changed, 'vdc', { totalBytes: 0, totalIops: 0 });
  expect(diskNamed(lifted, 'vdc').iotune).toBeUndefined();
  expect(of(domain, 'vdc')).toEqual({});
});

test('the length of a burst needs a burst', () => {
  expect(() => withDiskLimits(domain, 'vdc', { totalBytesMaxSeconds: 3 })).toThrow(
    "value 'total_bytes_sec_max_length' cannot be set if 'total_bytes_sec_max' is not set",
  );
});
