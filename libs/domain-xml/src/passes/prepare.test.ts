import { VirtError } from '@virtbus/shared';
import type { MachineType, QemuCapabilities } from '../capabilities';
import { parseDevice, formatDevice } from '../device';
import type { Domain } from '../elements/domain';
import { formatDomain, parseDomain } from '../parse-domain';
import { plugDevice } from '../plug-device';
import { assignAliases } from './aliases';
import { prepareDomain } from './prepare';

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
  flags: new Set([
    'piix3-usb-uhci',
    'qemu-xhci',
    'pci-bridge',
    'pcie-pci-bridge',
    'lsi',
    'virtio-scsi-pci',
    'cirrus-vga',
  ]),
  accelerators: {
    tcg: { machines: [machine('pc-i440fx-7.2', 'pc'), machine('pc-q35-7.2', 'q35')], cpus: [] },
  },
};

const document = (type: string, devices = '', inside = ''): string => `<domain type='qemu'><name>web</name>
<memory unit='MiB'>256</memory><os><type machine='${type}'>hvm</type></os>${inside}<devices>${devices}</devices></domain>`;

const prepare = (xml: string): Domain =>
  prepareDomain(parseDomain(xml, { mode: 'inactive' }).domain, capabilities, { newDefinition: true });

const place = (device: { address?: unknown } | undefined): string => {
  const { domain, bus, slot, function: fn } = device?.address as Record<string, number>;
  return `${domain}:${bus}:${slot}.${fn}`;
};

const refusal = (xml: string): VirtError => {
  try {
    prepare(xml);
  } catch (error) {
    if (error instanceof VirtError) return error as VirtError;
    throw error;
  }
  throw new Error('accepted');
};

const disk = (dev: string, more = ''): string =>
  `<disk><source file='/srv/${dev}'/><target dev='${dev}' bus='virtio'/>${more}</disk>`;
const slot = (bus: number, number: number): string =>
  `<address type='pci' domain='0' bus='${bus}' slot='${number}' function='0'/>`;

describe('defining a guest', () => {
  test('replaces a moving machine name by the version it stands for', () => {
    expect(prepare(document('q35')).os.type?.machine).toBe('pc-q35-7.2');
    expect(refusal(document('riscv-virt')).message).toContain("does not support machine type 'riscv-virt'");
  });

  test('gives a q35 guest its chipset and a root port for each hot-pluggable device, and one to spare', () => {
    const { devices } = prepare(document('q35', disk('vda')));
    expect(place(devices.controllers.find(({ type }) => type === 'sata'))).toBe('0:0:31.2');
    const ports = devices.controllers.filter(({ model }) => model === 'pcie-root-port');
    expect(ports.map(({ target, address }) => [target?.chassis, target?.port, place({ address })])).toEqual([
      [1, 8, '0:0:1.0'],
      [2, 9, '0:0:1.1'],
      [3, 10, '0:0:1.2'],
      [4, 11, '0:0:1.3'],
    ]);
    expect(ports[0]?.address).toMatchObject({ multifunction: true });
    expect(place(devices.disks[0])).toBe('0:2:0.0');
    expect(place(devices.memballoon)).toBe('0:3:0.0');
  });

  test('puts the devices of a pc guest on its one PCI bus', () => {
    const { devices } = prepare(document('pc', `${disk('vda')}<graphics type='vnc'/>`));
    expect(place(devices.videos[0])).toBe('0:0:2.0');
    expect(place(devices.disks[0])).toBe('0:0:3.0');
    expect(place(devices.controllers.find(({ type }) => type === 'usb'))).toBe('0:0:1.2');
  });

  test('adds a bridge when a pc guest has more devices than slots', () => {
    const many = Array.from({ length: 32 }, (_, i) =>
      disk(`vd${i < 26 ? '' : 'a'}${String.fromCharCode(97 + (i % 26))}`),
    );
    const { devices } = prepare(document('pc', many.join('')));
    expect(devices.controllers.filter(({ model }) => model === 'pci-bridge')).toHaveLength(1);
    expect(new Set(devices.disks.map(place)).size).toBe(32);
  });

  test('is a fixed point: nothing moves when the result is defined again, or when a device comes before another', () => {
    const first = formatDomain(prepare(document('q35', disk('vdb'))), { view: 'inactive' });
    expect(formatDomain(prepare(first), { view: 'inactive' })).toBe(first);
    const before = prepare(first).devices.disks[0];
    const { devices } = prepare(first.replace('<disk ', `${disk('vda')}<disk `));
    expect(devices.disks.map(({ target }) => target.dev)).toEqual(['vda', 'vdb']);
    expect(devices.disks[1]?.address).toEqual(before?.address);
    expect(devices.disks[0]?.address).not.toEqual(before?.address);
  });

  test.each([
    [
      'an address twice',
      document('pc', disk('vda', slot(0, 5)) + disk('vdb', slot(0, 5))),
      /Attempted double use of PCI Address 0000:00:05.0/,
    ],
    [
      'a target twice',
      document('pc', disk('vda') + disk('vda')),
      /target 'vda' duplicated for disk sources '\/srv\/vda'/,
    ],
    [
      'a USB bus that is not there',
      document('pc', "<input type='tablet' bus='usb'><address type='usb' bus='5' port='1'/></input>"),
      /USB bus 5 requested but no controller with that index is present/,
    ],
    [
      'a slot that is not there',
      document('pc', disk('vda', "<address type='pci' slot='0x20'/>")),
      /slot='0x20', must be <= 0x1F/,
    ],
    [
      'a controller number that would take thousands of them',
      document(
        'pc',
        "<disk><source file='/a'/><target dev='hda' bus='ide'/><address type='drive' controller='219136'/></disk>",
      ),
      /numbers end at 255/,
    ],
    ['no memory', document('pc').replace(/<memory.*<\/memory>/, ''), /Memory size must be specified/],
    ['a name with a slash', document('pc').replace('web', '../web'), /cannot contain '\/'/],
    ['a name of dots', document('pc').replace('web', '..'), /name '\.\.' is not allowed/],
    ['a name of 10 000 characters', document('pc').replace('web', 'w'.repeat(10_000)), /has 10000 bytes, at most/],
    ['an empty name', document('pc').replace('web', ''), /must not be empty/],
    [
      'contradictory features',
      document('pc', '', "<features><vmport state='on'/><ps2 state='off'/></features>"),
      /vmport feature requires/,
    ],
    ['another accelerator', document('pc').replace("type='qemu'", "type='kvm'"), /does not support virt type 'kvm'/],
  ])('refuses %s', (_what, xml, words) => expect(refusal(xml).message).toMatch(words));

  test('tells contradictions together, each with its line', () => {
    const { message } = refusal(document('pc', `${disk('vda')}\n${disk('vda')}\n<iommu model='intel'/>`));
    expect(message).toMatch(/line 3: target 'vda' duplicated/);
    expect(message).toMatch(/line 4: IOMMU device: 'intel' is only supported with Q35/);
  });
});

describe('aliases', () => {
  test('follow the kind and the number of each device', () => {
    const xml = document(
      'q35',
      `${disk('vdb')}<disk device='cdrom'><target dev='sdc' bus='sata'/></disk><interface type='user'/><serial type='pty'/>
       <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`,
    );
    const { devices } = assignAliases(prepare(xml));
    const name = (device: { alias?: { name: string } | undefined } | undefined) => device?.alias?.name;
    expect(devices.disks.map(name)).toEqual(['virtio-disk1', 'sata0-0-2']);
    expect(devices.controllers.map(name)).toEqual(
      expect.arrayContaining(['usb', 'ide', 'pcie.0', 'pci.1', 'virtio-serial0']),
    );
    expect(
      [devices.interfaces[0], devices.serials[0], devices.consoles[0], devices.channels[0], devices.memballoon].map(
        name,
      ),
    ).toEqual(['net0', 'serial0', 'serial0', 'channel0', 'balloon0']);
  });
});

describe('plugging a device into a running guest', () => {
  const running = assignAliases(prepare(document('q35', disk('vda'))));

  test('takes the free root port', () => {
    const { device, domain } = plugDevice(running, parseDevice(disk('vdb')), capabilities);
    expect(formatDevice(device)).toContain("<alias name='virtio-disk1'/>");
    expect(place(device.value as { address?: unknown })).toBe('0:4:0.0');
    expect(domain.devices.disks).toHaveLength(2);
    expect(running.devices.disks).toHaveLength(1);
  });

  test('is refused when no root port is free', () => {
    const { domain } = plugDevice(running, parseDevice(disk('vdb')), capabilities);
    expect(() => plugDevice(domain, parseDevice(disk('vdc')), capabilities)).toThrow(/No more available PCI slots/);
  });

  test('is refused when it would take a controller that is not there', () => {
    const scsi = "<disk><source file='/srv/a'/><target dev='sda' bus='scsi'/></disk>";
    expect(() => plugDevice(running, parseDevice(scsi), capabilities)).toThrow(
      /No more available PCI slots|needs a controller/,
    );
  });
});
