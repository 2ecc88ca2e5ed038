import { parseDomain } from '../parse-domain';
import { alignSnapshot, formatSnapshot, parseSnapshot } from '.';

const disk = (target: string, more: string, attributes = ''): string =>
  `<disk type='file' ${attributes}>${more}<target dev='${target}' bus='virtio'/></disk>`;
const domainXml = (...disks: string[]): string =>
  `<domain type='qemu'><name>web</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
  <metadata><a:b xmlns:a="urn:a"><c/></a:b></metadata><memory>1</memory><os><type>hvm</type></os>
  <devices>${disks.join('')}</devices></domain>`;
const file = (path: string): string => `<driver name='qemu' type='qcow2'/><source file='${path}'/>`;
const { domain } = parseDomain(
  domainXml(
    disk('vda', file('/i/a.qcow2')),
    disk('vdb', file('/i.d/b')),
    disk('vdc', '', "device='cdrom'"),
    disk('vdd', `${file('/i/d.raw')}<readonly/>`),
    disk('vde', file('/i/e.img'), "snapshot='no'"),
  ),
  { mode: 'inactive' },
);
const request = (inside: string) =>
  parseSnapshot(`<domainsnapshot><name>s1</name>${inside}</domainsnapshot>`, { form: 'request' });
const external = { location: 'external' } as const;

test('a request without disks is one of all that can be written, with files named after the snapshot', () => {
  const { disks } = alignSnapshot(request(''), domain, external);
  expect(disks.map(({ name, snapshot, source }) => [name, snapshot, source?.file])).toEqual([
    ['vda', 'external', '/i/a.s1'],
    ['vdb', 'external', '/i.d/b.s1'],
    ['vdc', 'no', undefined],
    ['vdd', 'no', undefined],
    ['vde', 'no', undefined],
  ]);
});

test('a disk may be named by its image, be left out, and have a file of its own', () => {
  const { disks } = alignSnapshot(
    request(`<disks><disk name='/i/a.qcow2' snapshot='no'/><disk name='vde'><source file='/x/e'/></disk></disks>`),
    domain,
    external,
  );
  expect(disks.map(({ name, snapshot }) => `${name} ${snapshot}`)).toEqual([
    'vda no',
    'vdb external',
    'vdc no',
    'vdd no',
    'vde external',
  ]);
});

test.each([
  ["<disks><disk name='vdz'/></disks>", "no disk named 'vdz'"],
  ["<disks><disk name='vda'/><disk name='/i/a.qcow2'/></disks>", "disk 'vda' specified twice"],
  ["<disks><disk name='vda' snapshot='internal'><source file='/x'/></disk></disks>", 'requires use of external'],
  ["<disks><disk name='vda' type='block'/></disks>", "on a 'block' device"],
  ["<disks><disk name='vda'><source file='/i.d/b.s1'/></disk></disks>", "collision with disk 'vda'"],
])('disks are refused: %s', (inside, reason) => {
  expect(() => alignSnapshot(request(inside), domain, external)).toThrow(reason);
});

test.each([
  ['<name>a/b</name>', /name can't contain '\/'$/],
  ['<name>.b</name>', "name can't start with '.'"],
  ["<memory snapshot='external'/>", 'external memory snapshots require a filename'],
  ["<memory snapshot='no' file='/m'/>", "memory filename '/m' requires external snapshot"],
  ["<memory file='m'/>", 'must be absolute'],
  ["<disks><disk snapshot='no'/></disks>", 'missing name from disk snapshot element'],
  ["<disks><disk name='vda' type='volume'/></disks>", "unsupported disk snapshot type 'volume'"],
])('requests are refused: %s', (inside, reason) => {
  expect(() => parseSnapshot(`<domainsnapshot>${inside}</domainsnapshot>`, { form: 'request', now: 1 })).toThrow(
    reason,
  );
});

test('only a redefinition speaks of the past', () => {
  const past = '<state>running</state><parent><name>s0</name></parent><creationTime>7</creationTime><active>1</active>';
  const xml = `<domainsnapshot><name>s1</name>${past}${domainXml()}</domainsnapshot>`;
  expect(parseSnapshot(xml, { form: 'request', now: 9 })).toMatchObject({ name: 's1', creationTime: 9 });
  expect(parseSnapshot(xml, { form: 'request', now: 9 }).domain).toBeUndefined();
  const again = parseSnapshot(xml, { form: 'redefinition' });
  expect(again).toMatchObject({ state: 'running', parent: { name: 's0' }, domain: { name: 'web' } });
  expect(again.active).toBeUndefined();
  const stored = parseSnapshot(xml, { form: 'stored' });
  expect(stored.active).toBe(true);
  const written = formatSnapshot(stored, { stored: true });
  expect(written).toContain('<c/>');
  expect(formatSnapshot(parseSnapshot(written, { form: 'stored' }), { stored: true })).toBe(written);
  expect(() => parseSnapshot('<domainsnapshot/>', { form: 'redefinition' })).toThrow(
    'a redefined snapshot must have a name; missing creationTime from existing snapshot; missing state',
  );
});
