/** A QEMU 7.2 for x86_64 as a value: what a run needs where no conformance kit lies. */
import type { MachineType, QemuCapabilities } from '@virtbus/domain-xml';

const machine = (name: string, alias: string): MachineType => ({
  name,
  alias,
  maxCpus: 288,
  defaultCpu: 'qemu64-x86_64-cpu',
  defaultRamId: 'pc.ram',
  hotplugCpus: true,
  numaMemSupported: false,
  isDefault: alias === 'pc',
  deprecated: false,
});

const machines = [machine('pc-i440fx-7.2', 'pc'), machine('pc-q35-7.2', 'q35')];
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
