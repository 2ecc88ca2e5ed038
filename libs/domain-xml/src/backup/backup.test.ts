import { parseDomain } from '../parse-domain';
import { alignBackup, formatBackup, parseBackup } from '.';

const { domain } = parseDomain(
  `<domain type='qemu'><name>web</name><memory>1</memory><os><type>hvm</type></os><devices>
  <disk type='file'><driver name='qemu' type='qcow2'/><source file='/i/a'/><target dev='vda' bus='virtio'/></disk>
  <disk type='block'><driver name='qemu' type='raw'/><source dev='/dev/b'/><target dev='vdb' bus='virtio'/></disk>
  <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk></devices></domain>`,
  { mode: 'inactive' },
);
const align = (xml: string) => alignBackup(parseBackup(xml), domain, 'S');
const onlyVda = "<disks><disk name='vda'/></disks>";
const pull = (inside: string): string =>
  `<domainbackup mode='pull'><server transport='unix' socket='/run/b'/>${inside}</domainbackup>`;

test('a push writes a qcow2 file beside the image when nothing else is said', () => {
  const { disks } = align(`<domainbackup>${onlyVda}</domainbackup>`);
  expect(disks[0]).toMatchObject({
    backup: true,
    backupmode: 'full',
    driver: { type: 'qcow2' },
    target: { file: '/i/a.S' },
  });
  expect(disks.slice(1)).toEqual([
    { name: 'vdb', backup: false },
    { name: 'sda', backup: false },
  ]);
});

test('disks may begin from checkpoints of their own', () => {
  const xml = `<domainbackup><incremental>c1</incremental><disks><disk name='vda'/>
    <disk name='vdb' backupmode='full' type='block'><target dev='/dev/t'/></disk></disks></domainbackup>`;
  expect(align(xml).disks.map(({ backupmode, incremental }) => [backupmode, incremental])).toEqual([
    ['incremental', 'c1'],
    ['full', undefined],
    [undefined, undefined],
  ]);
});

test.each([
  ['<domainbackup/>', "refusing to generate file name for disk 'vdb'"],
  ["<domainbackup><disks><disk name='sda'/></disks></domainbackup>", "disk 'sda' has no media"],
  ["<domainbackup><disks><disk name='vda' backup='no'/></disks></domainbackup>", 'no disks to be backed up'],
  ["<domainbackup><disks><disk name='vda' backupmode='incremental'/></disks></domainbackup>", 'needs the checkpoint'],
])('%s cannot be done', (xml, reason) => {
  expect(() => align(xml)).toThrow(reason);
});

test.each([
  ["<domainbackup mode='pull'/>", 'needs a <server>'],
  ["<domainbackup><server port='1'/></domainbackup>", 'use of <server> requires pull mode backup'],
  ["<domainbackup mode='pull'><server/></domainbackup>", 'must specify TCP port'],
  ["<domainbackup mode='pull'><server transport='rdma'/></domainbackup>", 'transport rdma is not supported'],
  [pull("<disks><disk name='vda'><driver type='raw'/></disk></disks>"), 'must be qcow2, not raw'],
  [pull("<disks><disk name='vda'><target file='/t'/></disk></disks>"), "'target' of disk 'vda' has no meaning"],
  ["<domainbackup><disks><disk name='vda' exportname='x'/></disks></domainbackup>", "'exportname' of disk 'vda'"],
  ["<domainbackup><disks><disk name='vda'><target file='t'/></disk></disks></domainbackup>", 'absolute path'],
])('%s is refused', (xml, reason) => {
  expect(() => parseBackup(xml)).toThrow(reason);
});

test('the stored form remembers how far each disk is', () => {
  const running = align(pull(onlyVda));
  running.disks[0]!.state = 'running';
  expect(formatBackup(running)).not.toContain('state=');
  const stored = formatBackup(running, { stored: true });
  expect(parseBackup(stored, { stored: true }).disks[0]!.state).toBe('running');
  expect(formatBackup(parseBackup(stored, { stored: true }), { stored: true })).toBe(stored);
});
