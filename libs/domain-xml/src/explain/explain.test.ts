import type { MachineType, QemuCapabilities } from '../capabilities';
import { formatDomain, parseDomain } from '../parse-domain';
import { prepareDomain } from '../passes/prepare';
import { explainDomain, explainLxcDomain } from '.';

const machine = (name: string, alias: string): MachineType => ({
  name,
  alias,
  maxCpus: 255,
  defaultCpu: 'qemu64-x86_64-cpu',
  hotplugCpus: true,
  numaMemSupported: false,
  isDefault: alias === 'pc',
  deprecated: false,
});

const capabilities: QemuCapabilities = {
  emulator: '/usr/bin/qemu-system-x86_64',
  version: 7002022,
  package: '',
  arch: 'x86_64',
  flags: new Set(['piix3-usb-uhci', 'qemu-xhci', 'pci-bridge', 'pcie-pci-bridge', 'lsi', 'cirrus-vga']),
  accelerators: { tcg: { machines: [machine('pc-i440fx-7.2', 'pc'), machine('pc-q35-7.2', 'q35')], cpus: [] } },
};

/** `path = value: reason` of each line. */
function explain(xml: string): string[] {
  const { lines } = explainDomain(xml, () => capabilities, {
    newDefinition: true,
    newUuid: () => 'd7f8d6bd-1c4a-4f5d-9d43-7ef5a6d2d2c8',
    newMac: () => '52:54:00:11:22:33',
  });
  return lines.map(
    ({ path, value, was, reason }) =>
      `${path} = ${value ?? '(gone)'}${was === undefined ? '' : ` (was ${was})`}: ${reason}`,
  );
}

const document = (type: string, devices: string): string => `<domain type='qemu'><name>web</name>
  <memory unit='MiB'>256</memory><os><type machine='${type}'>hvm</type></os><devices>${devices}</devices></domain>`;

test('each thing that was filled in is told with its place and the reason', () => {
  const lines = explain(document('pc', "<disk type='file'><source file='/i'/><target dev='vdb'/></disk>"));
  expect(lines).toEqual(
    expect.arrayContaining([
      '/domain/memory = 262144 KiB (was 256 MiB): sizes of memory are kept in KiB',
      '/domain/devices/disk/@device = disk: what a document means that says nothing else',
      "/domain/devices/disk[target/@dev='vdb']/target/@bus = virtio: the name of the disk's target begins as those on this bus do",
      '/domain/uuid = d7f8d6bd-1c4a-4f5d-9d43-7ef5a6d2d2c8: a domain has a uuid; this one was made up now',
      "/domain/os/type/@machine = pc-i440fx-7.2 (was pc): what 'pc' stands for with this emulator; kept, so that the guest's hardware stays",
      "/domain/devices/controller[@type='usb'][@index='0'] = <controller type='usb' index='0'/>: machine type pc-i440fx-7.2 has PIIX3 USB by default",
      "/domain/devices/memballoon = <memballoon model='virtio'/>: a guest with PCI has a memory balloon unless <memballoon model='none'/> says no",
      "/domain/devices/disk[target/@dev='vdb']/driver = <driver name='qemu' type='raw'/>: images are served by QEMU; no format was given, so raw is meant",
      "/domain/devices/input[1] = <input type='mouse' bus='ps2'/>: part of every PC",
      "/domain/os/boot[1] = <boot dev='hd'/>: a guest boots from its first hard disk unless told otherwise",
      "/domain/devices/disk[target/@dev='vdb']/alias = <alias name='virtio-disk1'/>: the name by which the hypervisor and events speak of it; given anew at each start",
    ]),
  );
  const address = lines.find((line) => line.startsWith("/domain/devices/disk[target/@dev='vdb']/address"));
  expect(address).toMatch(
    / = <address type='pci' domain='0x0000' bus='0x00' slot='0x\d\d' function='0x0'\/>: next free slot on pci-root 0$/,
  );
});

test('ports that Q35 needs are added, and devices sit on them', () => {
  const lines = explain(document('q35', "<interface type='user'><model type='virtio'/></interface>"));
  expect(lines.find((line) => line.startsWith("/domain/devices/controller[@type='pci'][@index='1'] = "))).toContain(
    'added: a PCI Express device needs a port of its own',
  );
  expect(lines.find((line) => line.startsWith('/domain/devices/interface[1]/address'))).toMatch(
    /: next free slot on pcie-root-port \d+$/,
  );
  expect(lines).toContainEqual(expect.stringMatching(/interface\[1]\/mac = <mac .*: a random address of QEMU's range/));
});

test('a document that says all is told nothing but the names that a start gives', () => {
  const devices =
    "<disk type='file'><source file='/i'/><target dev='vdb'/></disk><serial type='pty'/><channel type='unix'><target type='virtio' name='a'/></channel>";
  const { domain } = parseDomain(document('pc', devices), { mode: 'inactive' });
  const whole = formatDomain(prepareDomain(domain, capabilities, { newDefinition: true }), { view: 'inactive' });
  const paths = explainDomain(whole, () => capabilities).lines.map(({ path }) => path);
  expect(paths).toContain("/domain/devices/disk[target/@dev='vdb']/alias");
  expect(paths.filter((path) => !path.endsWith('/alias'))).toEqual([]);
});

test('what a step replaces is changed, not new', () => {
  const lines = explain(
    document('pc', "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/i'/><target dev='hda'/></disk>"),
  );
  expect(lines.filter((line) => line.includes('/driver'))).toEqual([]);
});

test('what was not understood is a warning, and what is wrong is refused as define refuses it', () => {
  const { warnings } = explainDomain(document('pc', '').replace('<os>', '<colour/><os>'), () => capabilities);
  expect(warnings).toEqual([expect.stringMatching(/^line 2: .*colour/)]);
  expect(() => explain(document('no-such-machine', ''))).toThrow("does not support machine type 'no-such-machine'");
  expect(() => explain('')).toThrow('XML');
});

test('of a container, what its host and its start fill in', () => {
  const xml = `<domain type='lxc'><name>web</name><uuid>d7f8d6bd-1c4a-4f5d-9d43-7ef5a6d2d2c8</uuid><memory>65536</memory><os><type>exe</type><init>/sbin/init</init></os>
    <devices><filesystem><source dir='/srv/web'/><target dir='/'/></filesystem><console type='pty'/></devices></domain>`;
  const range = { start: 0, target: 1_000_000, count: 65_536 };
  const { lines } = explainLxcDomain(xml, { emulator: '/usr/bin/lxc-start', arches: ['x86_64'] }, {}, (domain) => {
    domain.idmap = { uids: [range], gids: [range] };
  });
  const told = lines.map(({ path, reason }) => `${path}: ${reason}`);
  expect(told).toEqual(
    expect.arrayContaining([
      "/domain/devices/emulator: liblxc's program on this host",
      "/domain/os/type/@arch: what programs of this host's kernel are",
      "/domain/idmap: ids of its own, from root's in /etc/subuid: its root is nobody on the host",
    ]),
  );
  expect(told.filter((line) => line.includes('QEMU'))).toEqual([]);
});
