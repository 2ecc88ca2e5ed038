/** A QEMU 7.2 for x86_64 as a value: for what reads documents and starts no guest. */
import type { MachineType, QemuCapabilities } from '@virtbus/domain-xml';

const machine = (name: string, alias?: string): MachineType => ({
  name,
  ...(alias !== undefined && { alias }),
  maxCpus: 288,
  defaultCpu: 'qemu64-x86_64-cpu',
  defaultRamId: 'pc.ram',
  hotplugCpus: true,
  numaMemSupported: false,
  isDefault: alias === 'pc',
  deprecated: false,
});

const older = [
  ...['7.1', '7.0', '6.2', '6.1', '6.0', '5.2', '5.1', '5.0', '4.2', '4.1', '4.0', '3.1', '3.0'],
  ...['2.12', '2.11', '2.10', '2.9', '2.8', '2.7', '2.6', '2.5', '2.4'],
];
const machines = [
  machine('pc-i440fx-7.2', 'pc'),
  machine('pc-q35-7.2', 'q35'),
  ...older.flatMap((version) => [machine(`pc-i440fx-${version}`), machine(`pc-q35-${version}`)]),
];
const cpus = ['qemu64', 'max', 'host', 'Skylake-Client', 'EPYC'].map((name) => ({
  name,
  usable: true,
  blockers: [],
  deprecated: false,
}));

export const ordinaryCapabilities: QemuCapabilities = {
  emulator: '/usr/bin/qemu-system-x86_64',
  version: 7002022,
  package: '',
  arch: 'x86_64',
  flags: new Set([
    ...['device.json+hotplug', 'netdev.json', 'thread-context', 'piix3-usb-uhci', 'qemu-xhci', 'pci-bridge'],
    ...[
      'pcie-root-port',
      'pcie-pci-bridge',
      'virtio-scsi-pci',
      'virtio-vga',
      'virtio-gpu',
      'cirrus-vga',
      'qxl',
      'vnc',
      'spice',
    ],
    ...[
      'tpm-tis',
      'tpm-crb',
      'tpm-emulator',
      'intel-iommu',
      'vhost-vsock',
      'virtio-mem-pci',
      'nvdimm',
      'virtio-pmem-pci',
    ],
    ...['memory-backend-memfd', 'vhost-user-fs', 'usb-redir', 'usb-host', 'ccid-emulated', 'pvpanic-pci', 'virtio-rng'],
    ...['i6300esb', 'itco-watchdog', 'virtio-input-host', 'virtio-crypto', 'vmgenid', 'machine.hmat', 'iothread'],
  ]),
  accelerators: { kvm: { machines, cpus }, tcg: { machines, cpus } },
  hypervFeatures: ['relaxed', 'vapic', 'spinlocks', 'vpindex', 'runtime', 'synic', 'stimer', 'reset'],
};
