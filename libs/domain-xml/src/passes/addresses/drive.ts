/** Places on IDE, SATA, SCSI and floppy buses, and the controllers that they need. */
import type { QemuCapabilities } from '../../capabilities';
import type { ControllerType } from '../../elements/controller';
import type { DriveAddress } from '../../elements/device-info';
import type { Disk } from '../../elements/disk';
import type { Domain } from '../../elements/domain';
import { lineOf, type Faults } from '../../schema';
import { diskIndex, ensureController, highestController } from '../controllers';
import { isPseries } from '../machine';
import { assignCcid } from './virtio-serial';

/** Gives numbers to controllers that have none: the lowest free one of their type. */
export function numberControllers({ devices }: Domain, faults: Faults): void {
  const ofType = (type: ControllerType) => devices.controllers.filter((one) => one.type === type);
  for (const controller of devices.controllers) {
    if (controller.type === 'pci' && (controller.index ?? 0) > highestController)
      faults.add('XML_ERROR', `Invalid PCI controller index '${controller.index}', must be <= ${highestController}`, {
        element: 'controller',
        line: lineOf(controller),
      });
    if (controller.index !== undefined) continue;
    // The slow companions of a USB 2 controller share its number.
    const master = /^ich9-uhci/.test(controller.model ?? '')
      ? ofType('usb')
          .filter((one) => one.model === 'ich9-ehci1' && one.index !== undefined)
          .at(-1)
      : undefined;
    const taken = new Set(ofType(controller.type).map((one) => one.index));
    // The first PCI bus is the machine's own.
    if (controller.type === 'pci' && !/-root$/.test(controller.model ?? '')) taken.add(0);
    let index = master?.index ?? 0;
    if (!master) while (taken.has(index)) index += 1;
    controller.index = index;
  }
}

/** `wide`: sixteen SCSI units a bus, as QEMU has them, rather than eight. */
export function fillDriveAddresses({ devices }: Domain, wide: boolean): void {
  for (const disk of devices.disks) {
    if (disk.address !== undefined) continue;
    const index = diskIndex(disk.target.dev ?? '');
    const place = index === undefined ? undefined : placeOf(disk, index, wide);
    if (place) disk.address = { type: 'drive', target: 0, ...place };
  }
}

function placeOf(disk: Disk, index: number, wide: boolean): Omit<DriveAddress, 'type' | 'target'> | undefined {
  switch (disk.target.bus) {
    case 'ide':
      return { controller: Math.floor(index / 4), bus: Math.floor((index % 4) / 2), unit: index % 2 };
    case 'sata':
      return { controller: Math.floor(index / 6), bus: 0, unit: index % 6 };
    case 'fdc':
      return { controller: Math.floor(index / 2), bus: 0, unit: index % 2 };
    case 'scsi': {
      const units = wide ? 15 : 7;
      const unit = index % units;
      // Unit 7 is the controller itself.
      return { controller: Math.floor(index / units), bus: 0, unit: wide && unit >= 7 ? unit + 1 : unit };
    }
    default:
      return undefined;
  }
}

/** Adds the controllers that disks, channels and smartcards hang on. */
export function addImplicitControllers(domain: Domain, caps: QemuCapabilities | undefined): void {
  const { devices } = domain;
  for (const type of ['fdc', 'ide', 'sata', 'scsi'] as const) {
    let highest = -1;
    for (const { target, address } of devices.disks) {
      if (target.bus === type && address?.type === 'drive') highest = Math.max(highest, address.controller);
    }
    for (let index = 0; index <= highest; index++)
      ensureController(domain, type, index, type === 'scsi' ? scsiModel(domain, caps) : undefined);
  }
  addVirtioSerial(domain);
  assignCcid(domain);
  let ccids = -1;
  for (const { address } of devices.smartcards)
    ccids = Math.max(ccids, address?.type === 'ccid' ? address.controller : 0);
  for (let index = 0; index <= ccids; index++) ensureController(domain, 'ccid', index);
  let hostScsi = -1;
  for (const { type, address } of devices.hostdevs)
    if (type === 'scsi') hostScsi = Math.max(hostScsi, address?.type === 'drive' ? address.controller : -1);
  for (let index = 0; index <= hostScsi; index++) ensureController(domain, 'scsi', index, scsiModel(domain, caps));
}

/** The SCSI controller that is used when the document does not choose. */
export function scsiModel(domain: Domain, caps: QemuCapabilities | undefined): string | undefined {
  if (caps === undefined) return undefined;
  const inUse = domain.devices.controllers.find((one) => one.type === 'scsi' && one.model !== undefined)?.model;
  if (inUse !== undefined) return inUse;
  if (isPseries(domain)) return 'ibmvscsi';
  if (caps.flags.has('lsi') && !/^(s390x|loongarch64)$/.test(caps.arch)) return 'lsilogic';
  if (caps.flags.has('virtio-scsi-pci') || caps.flags.has('virtio-scsi-ccw')) return 'virtio-scsi';
  return caps.flags.has('lsi') ? 'lsilogic' : undefined;
}

function addVirtioSerial(domain: Domain): void {
  const { channels, consoles } = domain.devices;
  for (const { target, address } of [...consoles, ...channels])
    if (target?.type === 'virtio')
      ensureController(domain, 'virtio-serial', address?.type === 'virtio-serial' ? address.controller : 0);
}
