/** Where devices sit on machines that are no PCs. */
import type { QemuCapabilities } from '../../capabilities';
import type { DeviceInfo } from '../../elements/device-info';
import type { Domain } from '../../elements/domain';
import { parseDomain } from '../../parse-domain';
import { prepareDomain } from '../prepare';

const machines = ['pseries', 's390-ccw-virtio', 'virt', 'realview-pb-a8'].map((name) => ({
  name,
  maxCpus: 8,
  hotplugCpus: true,
  numaMemSupported: false,
  isDefault: false,
  deprecated: false,
}));

function prepare(arch: string, machine: string, devices: string): Domain {
  const caps: QemuCapabilities = {
    emulator: `/usr/bin/qemu-system-${arch}`,
    version: 10_000_000,
    package: '',
    arch,
    flags: new Set(['qemu-xhci', 'pci-ohci', 'virtio-scsi-pci', 'zpci', 'pci-bridge']),
    accelerators: { tcg: { machines, cpus: [] } },
  };
  const xml = `<domain type='qemu'><name>a</name><memory>65536</memory>
<os><type arch='${arch}' machine='${machine}'>hvm</type></os><devices>${devices}</devices></domain>`;
  return prepareDomain(parseDomain(xml, { mode: 'inactive' }).domain, caps);
}

const addressOf = (device: DeviceInfo | undefined) => device?.address;
const hostdev = (address = '', slot = 0): string =>
  `<hostdev mode='subsystem' type='pci'><source><address bus='1' slot='${slot}'/></source>${address}</hostdev>`;

test('pseries gives registers of its virtual bus, from where each kind begins, and none twice', () => {
  const serial = (address = ''): string => `<serial type='pty'>${address}</serial>`;
  const scsi =
    "<controller type='scsi' index='0'/><controller type='scsi' index='1'><address type='spapr-vio' reg='0x30000000'/></controller>";
  const { devices } = prepare('ppc64', 'pseries', serial() + serial() + scsi);
  expect(devices.serials.map(addressOf)).toEqual([
    { type: 'spapr-vio', reg: 0x30001000 },
    { type: 'spapr-vio', reg: 0x30002000 },
  ]);
  expect(addressOf(devices.controllers.find(({ type }) => type === 'scsi'))).toEqual({
    type: 'spapr-vio',
    reg: 0x2000,
  });
  expect(devices.consoles[0]?.address).toEqual(devices.serials[0]?.address);
  const clash = "<address type='spapr-vio' reg='0x4000'/>";
  expect(() => prepare('ppc64', 'pseries', `${serial(clash)}\n${serial(clash)}`)).toThrow(
    'line 3: spapr-vio address 0x4000 already in use',
  );
});

test('pseries grows by host bridges', () => {
  const far = hostdev("<address type='pci' bus='2' slot='1'/>");
  const roots = prepare('ppc64', 'pseries', far).devices.controllers.filter(({ type }) => type === 'pci');
  expect(roots.map(({ model, target }) => [model, target?.index])).toEqual([
    ['pci-root', 0],
    ['pci-root', 1],
    ['pci-root', 2],
  ]);
});

test('s390 gives ids beside PCI places: first the other half of those that the document names', () => {
  const named = hostdev("<address type='pci'><zpci uid='0x0001'/></address>", 1);
  const { devices } = prepare('s390x', 's390-ccw-virtio', hostdev() + named);
  expect(devices.hostdevs.map(({ address }) => address?.type === 'pci' && address.zpci)).toEqual([
    { uid: 2, fid: 1 },
    { uid: 1, fid: 0 },
  ]);
  const twice = "<address type='pci'><zpci uid='0x12' fid='0x1'/></address>";
  expect(() => prepare('s390x', 's390-ccw-virtio', hostdev(twice) + hostdev(twice, 1))).toThrow(
    'zPCI uid 0x12 is already reserved; line 2: zPCI fid 0x1 is already reserved',
  );
});

test('one virtio device on the board takes the others along', () => {
  const onBoard = "<interface type='user'><model type='virtio'/><address type='virtio-mmio'/></interface>";
  const { devices } = prepare('riscv64', 'virt', `${onBoard}<rng model='virtio'><backend model='random'/></rng>`);
  expect(addressOf(devices.rngs[0])).toEqual({ type: 'virtio-mmio' });
});

test('a board without PCI gives no PCI places', () => {
  const { devices } = prepare('aarch64', 'realview-pb-a8', "<controller type='usb'/>");
  expect(devices.controllers).toMatchObject([{ type: 'usb', index: 0, model: 'qemu-xhci' }]);
  expect(addressOf(devices.controllers[0])).toBeUndefined();
});
