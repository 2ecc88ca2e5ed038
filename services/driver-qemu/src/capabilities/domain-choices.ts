/**
 * What a domain on one binary may choose from, per device: data. Each choice names the capability flag that offers it,
 * or `true` when every supported QEMU does.
 */

/** Flags, of which any is enough; or always. */
export type Offer = true | string | readonly string[];

export type Choices = Readonly<Record<string, Offer>>;

/** Device → enum → value → offer, with names and order as in libvirt's domain capabilities. */
export const deviceChoices = {
  disk: {
    diskDevice: { disk: true, cdrom: true, floppy: true, lun: 'scsi-block' },
    bus: {
      ide: true,
      fdc: true,
      scsi: ['virtio-scsi-pci', 'lsi'],
      virtio: true,
      usb: 'usb-storage',
      sata: 'ich9-ahci',
    },
    model: {
      virtio: true,
      'virtio-transitional': 'virtio-pci-non-transitional',
      'virtio-non-transitional': 'virtio-pci-non-transitional',
    },
  },
  graphics: {
    type: { sdl: 'sdl', vnc: 'vnc', spice: 'spice', 'egl-headless': 'egl-headless', dbus: 'display-dbus' },
  },
  video: {
    modelType: {
      vga: 'VGA',
      cirrus: 'cirrus-vga',
      vmvga: 'vmware-svga',
      qxl: 'qxl',
      virtio: 'virtio-gpu',
      none: true,
      bochs: 'bochs-display',
      ramfb: 'ramfb',
    },
  },
  hostdev: {
    mode: { subsystem: true },
    startupPolicy: { default: true, mandatory: true, requisite: true, optional: true },
    subsysType: { usb: true, pci: 'vfio-pci', scsi: true },
    capsType: {},
    pciBackend: { default: 'vfio-pci', vfio: 'vfio-pci' },
  },
  rng: {
    model: {
      virtio: 'virtio-rng',
      'virtio-transitional': 'virtio-pci-non-transitional',
      'virtio-non-transitional': 'virtio-pci-non-transitional',
    },
    backendModel: { random: 'rng-random', egd: 'rng-egd', builtin: 'rng-builtin' },
  },
  filesystem: { driverType: { path: true, virtiofs: 'vhost-user-fs' } },
  tpm: {
    model: { 'tpm-tis': 'tpm-tis', 'tpm-crb': 'tpm-crb' },
    backendModel: { passthrough: 'tpm-passthrough', emulator: 'tpm-emulator', external: 'tpm-emulator' },
  },
  redirdev: { bus: { usb: 'usb-redir' } },
  channel: { type: { pty: true, unix: true, spicevmc: 'spice', 'qemu-vdagent': 'chardev.qemu-vdagent' } },
  crypto: {
    model: { virtio: 'virtio-crypto' },
    type: { qemu: 'virtio-crypto' },
    backendModel: { builtin: 'virtio-crypto', lkcf: 'cryptodev-backend-lkcf' },
  },
  interface: { backendType: { default: 'netdev.user' } },
  panic: { model: { isa: 'pvpanic', hyperv: true, pvpanic: 'pvpanic-pci' } },
} as const satisfies Record<string, Record<string, Choices>>;

export const memoryChoices = {
  sourceType: { file: true, anonymous: true, memfd: 'memory-backend-memfd' },
} as const satisfies Record<string, Choices>;

/** Features in libvirt's order. */
export const featureOffers = {
  vmcoreinfo: 'vmcoreinfo',
  genid: 'vmgenid',
  backingStoreInput: true,
  backup: true,
  'async-teardown': 'run-with.async-teardown',
  ps2: 'i8042',
} as const satisfies Record<string, Offer>;
