import { parseDomain } from '../parse-domain';
import { alignCheckpoint, formatCheckpoint, parseCheckpoint } from '.';

const { domain } = parseDomain(
  `<domain type='qemu'><name>web</name><memory>1</memory><os><type>hvm</type></os><devices>
  <disk type='file'><driver name='qemu' type='qcow2'/><source file='/i/a'/><target dev='vda' bus='virtio'/></disk>
  <disk type='file'><driver name='qemu' type='qcow2'/><source file='/i/b'/><target dev='vdb' bus='virtio'/></disk>
  <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk></devices></domain>`,
  { mode: 'inactive' },
);
const request = (inside: string) =>
  parseCheckpoint(`<domaincheckpoint><name>c1</name>${inside}</domaincheckpoint>`, { form: 'request', now: 5 });
const bitmaps = (inside: string) =>
  alignCheckpoint(request(inside), domain).disks.map(({ name, bitmap }) => `${name} ${bitmap ?? '-'}`);

test('a checkpoint is of all disks that the guest writes, or of those that it names', () => {
  expect(bitmaps('')).toEqual(['vda c1', 'vdb c1', 'sda -']);
  expect(bitmaps("<disks><disk name='/i/b'/></disks>")).toEqual(['vda -', 'vdb c1', 'sda -']);
  expect(bitmaps("<disks><disk name='vda' checkpoint='no'/></disks>")).toEqual(['vda -', 'vdb -', 'sda -']);
});

test.each([
  ["<disks><disk name='sda'/></disks>", "disk 'sda' is empty"],
  ["<disks><disk name='vda' bitmap='other'/></disks>", 'must match checkpoint name'],
  ["<disks><disk name='vdx'/></disks>", "no disk named 'vdx'"],
])('disks are refused: %s', (inside, reason) => {
  expect(() => bitmaps(inside)).toThrow(reason);
});

test.each([
  ['<name>a b</name>', "'a b' is no name of a checkpoint. Expected at most 200 letters"],
  ["<disks><disk name='vda' checkpoint='no' bitmap='x'/></disks>", "'bitmap' requires checkpoint='bitmap'"],
])('requests are refused: %s', (inside, reason) => {
  expect(() => parseCheckpoint(`<domaincheckpoint>${inside}</domaincheckpoint>`, { form: 'request', now: 5 })).toThrow(
    reason,
  );
});

test('what was written down is read again', () => {
  const made = alignCheckpoint({ ...request(''), parent: { name: 'c0' }, domain }, domain);
  const written = formatCheckpoint(made, { secrets: true });
  expect(formatCheckpoint(parseCheckpoint(written, { form: 'redefinition' }))).toBe(written);
  expect(formatCheckpoint(made, { withoutDomain: true })).not.toContain('<domain ');
  expect(() => parseCheckpoint('<domaincheckpoint/>', { form: 'redefinition' })).toThrow('must have a name');
});
