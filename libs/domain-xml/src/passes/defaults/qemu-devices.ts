/** Defaults of the QEMU driver for single devices: models, buses, backends. */
import type { QemuCapabilities } from '../../capabilities';
import type { Disk } from '../../elements/disk';
import type { Domain } from '../../elements/domain';
import { hasGeneratedSocket } from '../../generated-sockets';
import { lineOf, type Faults } from '../../schema';
import { scsiModel } from '../addresses/drive';
import {
  archOf,
  isArmVirt,
  isLoongarchVirt,
  isPowerPci,
  isPseries,
  isRiscvVirt,
  isS390Ccw,
  isVersatile,
  isX86,
  machineOf,
} from '../machine';
import type { PrepareOptions } from '../options';

export function fillQemuDevices(domain: Domain, caps: QemuCapabilities, faults: Faults, options: PrepareOptions): void {
  fillControllers(domain, caps, faults, options);
  fillDisks(domain);
  fillCards(domain, caps);
  fillSerials(domain);
  fillInputs(domain);
  fillVideos(domain, caps);
  fillRest(domain, faults);
}

function fillControllers(domain: Domain, caps: QemuCapabilities, faults: Faults, options: PrepareOptions): void {
  for (const controller of domain.devices.controllers) {
    if (controller.type === 'scsi' && (controller.model === undefined || controller.model === 'auto')) {
      delete controller.model;
      const model = scsiModel(domain, caps);
      if (model !== undefined) controller.model = model;
    }
    if (controller.type !== 'usb' || controller.model !== undefined) continue;
    const model = usbModel(domain, caps, options.newDefinition);
    if (model !== undefined) controller.model = model;
    // QEMU's own choice once was good enough; new guests are to know what they get.
    else if (options.newDefinition)
      faults.add('CONFIG_UNSUPPORTED', 'no model provided for USB controller', {
        element: 'controller',
        line: lineOf(controller),
      });
  }
}

function usbModel(domain: Domain, caps: QemuCapabilities, newDefinition = false): string | undefined {
  // Guests that were defined long ago may know USB 1 only.
  const isPower = isPseries(domain) || isPowerPci(domain);
  const wanted = isX86(domain)
    ? ['piix3-uhci']
    : isVersatile(domain)
      ? ['piix3-uhci', 'qemu-xhci']
      : isPower && !newDefinition
        ? ['pci-ohci', 'qemu-xhci']
        : ['qemu-xhci', 'nec-xhci'];
  return wanted.find((model) => caps.flags.has(usbFlags[model] ?? model));
}

/** Capability flags that are not named like the model. */
const usbFlags: Readonly<Record<string, string>> = { 'piix3-uhci': 'piix3-usb-uhci', 'nec-xhci': 'nec-usb-xhci' };

function fillDisks({ devices }: Domain): void {
  for (const disk of devices.disks) {
    fillSource(disk);
    disk.driver = { ...disk.driver, name: disk.driver?.name ?? 'qemu' };
    // What a volume is, its pool knows.
    if (disk.type !== 'volume') disk.driver.type ??= 'raw';
  }
}

/** A LUN of an iSCSI target that was not given is the first one. */
function fillSource({ source }: Disk): void {
  if (source?.protocol === 'iscsi' && source.name !== undefined && !source.name.includes('/')) source.name += '/0';
}

function fillCards(domain: Domain, caps: QemuCapabilities): void {
  for (const card of domain.devices.interfaces) {
    if (card.model?.type !== undefined) card.model.type = knownCard(card.model.type);
    else if (card.type !== 'hostdev') {
      const virtual = card.type === 'vdpa' || card.type === 'vhostuser';
      card.model = { type: virtual ? 'virtio' : cardModel(domain, caps) };
    }
  }
}

const knownCards = [
  'netfront',
  'rtl8139',
  'virtio',
  'e1000',
  'e1000e',
  'igb',
  'virtio-transitional',
  'virtio-non-transitional',
  'usb-net',
  'spapr-vlan',
  'lan9118',
  'smc91c111',
  'vlance',
  'vmxnet',
  'vmxnet2',
  'vmxnet3',
  '82540EM',
  '82545EM',
  '82543GC',
];

/** A model that we know in its own spelling; another is QEMU's affair. */
const knownCard = (model: string): string =>
  knownCards.find((one) => one.toLowerCase() === model.toLowerCase()) ?? model;

function cardModel(domain: Domain, caps: QemuCapabilities): string {
  const virtual = isS390Ccw(domain) || isArmVirt(domain) || isRiscvVirt(domain) || isLoongarchVirt(domain);
  if (virtual) return 'virtio';
  if (/^(aarch64|arm)/.test(archOf(domain))) return machineOf(domain) === 'versatilepb' ? 'smc91c111' : 'lan9118';
  return caps.flags.size > 0 ? 'rtl8139' : 'virtio';
}

const serialModels: Readonly<Record<string, 'isa-serial' | 'pci-serial' | 'usb-serial' | 'isa-debugcon'>> = {
  'isa-serial': 'isa-serial',
  'pci-serial': 'pci-serial',
  'usb-serial': 'usb-serial',
  'isa-debug': 'isa-debugcon',
};

function fillSerials(domain: Domain): void {
  for (const serial of domain.devices.serials) {
    const target = (serial.target ??= {});
    // A plain ISA port once stood for whatever the machine has.
    if (target.type === 'isa-serial' && target.model?.name === undefined) delete target.type;
    if (target.type === undefined || target.type === 'none') {
      if (serial.address?.type === 'usb') target.type = 'usb-serial';
      else if (serial.address?.type === 'pci') target.type = 'pci-serial';
      else if (serial.address?.type === 'spapr-vio' || isPseries(domain)) target.type = 'spapr-vio-serial';
      else if (isX86(domain)) target.type = 'isa-serial';
      else if (isS390Ccw(domain)) target.type = 'sclp-serial';
      else if (isArmVirt(domain) || isRiscvVirt(domain) || isLoongarchVirt(domain)) target.type = 'system-serial';
      else continue;
    }
    const model =
      serialModels[target.type] ??
      { 'spapr-vio-serial': 'spapr-vty' as const, 'sclp-serial': 'sclpconsole' as const }[target.type as string];
    if (target.model?.name === undefined && model) target.model = { name: model };
    if (target.model?.name === undefined && target.type === 'system-serial')
      target.model = { name: isArmVirt(domain) ? 'pl011' : '16550a' };
  }
}

function fillInputs(domain: Domain): void {
  const { inputs } = domain.devices;
  const hasPs2 = isX86(domain) && domain.features.ps2?.state !== false;
  for (const input of inputs) {
    if (input.bus !== undefined) continue;
    if (input.type === 'passthrough') input.bus = 'virtio';
    else if (input.type === 'evdev') input.bus = 'none';
    else input.bus = input.type === 'tablet' || !hasPs2 ? 'usb' : 'ps2';
  }
  if (!hasPs2) return;
  for (const type of ['mouse', 'keyboard'] as const)
    if (!inputs.some((one) => one.type === type && one.bus === 'ps2')) inputs.push({ type, bus: 'ps2' });
}

function fillVideos(domain: Domain, caps: QemuCapabilities): void {
  const { videos, graphics } = domain.devices;
  if (videos.length === 0 && graphics.length > 0) videos.push({ model: { type: 'default', primary: true } });
  for (const video of videos) {
    const model = (video.model ??= { type: 'default' });
    if (model.type === 'default') model.type = videoType(domain, caps);
    if (model.type === 'none') continue;
    model.heads ??= 1;
    const memory = { vga: 16384, cirrus: 16384, vmvga: 16384, bochs: 16384 }[model.type as string];
    if (memory !== undefined) model.vram ??= memory;
    if (model.type === 'qxl') {
      model.ram ??= 65536;
      model.vram ??= 65536;
      model.vgamem ??= 16384;
    }
  }
}

function videoType(domain: Domain, caps: QemuCapabilities): 'cirrus' | 'vga' | 'virtio' {
  if (isArmVirt(domain) || isRiscvVirt(domain) || isLoongarchVirt(domain) || isS390Ccw(domain)) return 'virtio';
  if (isPseries(domain)) return 'vga';
  return caps.flags.has('cirrus-vga') ? 'cirrus' : 'vga';
}

const panicModel = (domain: Domain) =>
  isX86(domain)
    ? 'isa'
    : isPseries(domain)
      ? 'pseries'
      : isS390Ccw(domain)
        ? 's390'
        : archOf(domain) === 'aarch64'
          ? 'pvpanic'
          : undefined;

function fillRest(domain: Domain, faults: Faults): void {
  const { devices } = domain;
  for (const hostdev of devices.hostdevs) {
    if (hostdev.mode !== 'subsystem') continue;
    hostdev.managed ??= false;
    if (hostdev.source?.protocol === 'iscsi' && hostdev.source.name?.includes('/') === false)
      hostdev.source.name += '/0';
  }
  for (const tpm of devices.tpms) {
    tpm.model ??= isPseries(domain) ? 'tpm-spapr' : 'tpm-tis';
    // What the guests of PCs have always had.
    const isOld = isX86(domain) && tpm.model === 'tpm-tis';
    if (tpm.backend.type === 'emulator') tpm.backend.version ??= isOld ? '1.2' : '2.0';
  }
  for (const rng of devices.rngs) {
    if (rng.backend.model === 'random') rng.backend.path ??= '/dev/random';
  }
  for (const screen of devices.graphics) {
    // SPICE that listens on no port may as well not listen.
    const silent = screen.port === undefined && screen.tlsPort === undefined && screen.autoport !== true;
    const [first] = screen.listens;
    if (screen.type === 'spice' && silent && (first?.type === 'address' || first?.type === 'network'))
      screen.listens = [{ type: 'none' }];
  }
  for (const { type, sources } of devices.redirdevs)
    if (type === 'dbus' && sources.length === 0) sources.push({ channel: 'org.qemu.usbredir', seclabels: [] });
  for (const channel of devices.channels) {
    // A listening socket without a path gets one at each start, and keeps it while the guest runs.
    if (domain.id !== undefined || channel.type !== 'unix') continue;
    if (channel.sources[0]?.path !== undefined && !hasGeneratedSocket(channel)) continue;
    if (channel.sources[0]?.reconnect?.enabled)
      faults.add('INTERNAL_ERROR', 'chardev reconnect is possible only for connect mode', {
        element: 'channel',
        line: lineOf(channel),
      });
    channel.sources = [];
  }
  for (const filesystem of devices.filesystems) {
    if (filesystem.source?.socket === undefined) filesystem.accessmode ??= 'passthrough';
  }
  for (const sound of devices.sounds) if (sound.model === 'virtio') sound.streams ??= 2;
  for (const panic of devices.panics) panic.model ??= panicModel(domain);
  for (const shmem of devices.shmems) {
    shmem.model ??= { type: shmem.server ? 'ivshmem-doorbell' : 'ivshmem-plain' };
    if (shmem.server) shmem.msi = { ...shmem.msi, ioeventfd: shmem.msi?.ioeventfd ?? true };
    else shmem.size ??= 4;
  }
  if (devices.vsock) devices.vsock.model ??= 'virtio';
}
