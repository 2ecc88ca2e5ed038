/** Controllers: what QEMU has to be told to build; those that the machine brings are left out. */
import type { Controller, ControllerType } from '../elements/controller';
import { isI440fx, isQ35 } from '../passes/machine';
import { aliasOf, hasFlag, unsupported, type Guest } from './context';
import { addressProps, controllerAlias } from './device-address';
import { iothreadMapping } from './iothreads';
import { nonZero, props, type LooseProps, type Props } from './props';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

/** Types of controllers in the order in which QEMU is told of them. */
const order: readonly ControllerType[] = ['pci', 'usb', 'scsi', 'ide', 'sata', 'virtio-serial'];

export function addControllers(out: CommandWords, guest: Guest): void {
  for (const type of order) addControllersOf(out, guest, type);
}

/** Smartcard readers are USB devices themselves and may sit behind hubs. */
export const addCardReaders = (out: CommandWords, guest: Guest): void => addControllersOf(out, guest, 'ccid');

function addControllersOf(out: CommandWords, guest: Guest, type: ControllerType): void {
  for (const controller of guest.domain.devices.controllers) {
    const device = controller.type === type ? controllerProps(guest, controller) : undefined;
    if (device) out.device(device);
  }
}

/** Undefined for a controller that is part of the machine. */
export function controllerProps(guest: Guest, controller: Controller): Props | undefined {
  const own = ownProps(guest, controller);
  return own && props(own, addressProps(guest, controller));
}

function ownProps(guest: Guest, controller: Controller): LooseProps | undefined {
  switch (controller.type) {
    case 'pci':
      return pciProps(controller);
    case 'usb':
      return usbProps(guest, controller);
    case 'scsi':
      return scsiProps(controller);
    case 'virtio-serial':
      return {
        ...virtioProps('virtio-serial', controller, controller.driver, controller.model),
        id: aliasOf(controller),
        max_ports: controller.ports,
        vectors: controller.vectors,
      };
    case 'sata':
      return controller.index === 0 && isQ35(guest.domain) ? undefined : { driver: 'ahci', id: aliasOf(controller) };
    case 'ccid':
      return { driver: 'usb-ccid', id: aliasOf(controller) };
    case 'ide':
      return ideProps(guest, controller);
    default:
      return undefined;
  }
}

function ideProps({ domain }: Guest, controller: Controller): undefined {
  if (isQ35(domain) || (isI440fx(domain) && controller.index !== 0))
    return unsupported('only a single IDE controller is supported for this machine type');
  return undefined;
}

const usbDrivers: Readonly<Record<string, string>> = {
  'piix3-uhci': 'piix3-usb-uhci',
  'piix4-uhci': 'piix4-usb-uhci',
  ehci: 'usb-ehci',
  'ich9-ehci1': 'ich9-usb-ehci1',
  'ich9-uhci1': 'ich9-usb-uhci1',
  'ich9-uhci2': 'ich9-usb-uhci2',
  'ich9-uhci3': 'ich9-usb-uhci3',
  'vt82c686b-uhci': 'vt82c686b-usb-uhci',
  'pci-ohci': 'pci-ohci',
  'nec-xhci': 'nec-usb-xhci',
  'qemu-xhci': 'qemu-xhci',
};

/** Those that not every QEMU has. */
const flaggedUsbDrivers = new Set([
  'piix3-usb-uhci',
  'piix4-usb-uhci',
  'usb-ehci',
  'ich9-usb-ehci1',
  'vt82c686b-usb-uhci',
  'pci-ohci',
  'nec-usb-xhci',
  'qemu-xhci',
]);

function usbProps(guest: Guest, controller: Controller): LooseProps | undefined {
  const { model, ports, master } = controller;
  if (model === 'none') return undefined;
  if (model === undefined) return unsupported('no model provided for USB controller');
  const driver = usbDrivers[model];
  if (driver === undefined || (flaggedUsbDrivers.has(driver) && !hasFlag(guest, driver)))
    return unsupported(`USB controller model '${model}' not supported in this QEMU binary`);
  const isXhci = driver.endsWith('xhci');
  if (ports !== undefined && !isXhci) return unsupported(`'ports' is not supported for USB controller '${model}'`);
  return {
    driver,
    p2: isXhci ? ports : undefined,
    p3: isXhci ? ports : undefined,
    ...(master
      ? { masterbus: `${controllerAlias(guest, 'usb', controller.index ?? 0)}.0`, firstport: master.startport ?? 0 }
      : { id: aliasOf(controller) }),
  };
}

const scsiDrivers: Readonly<Record<string, string>> = {
  lsilogic: 'lsi',
  lsisas1068: 'mptsas1068',
  lsisas1078: 'megasas',
  vmpvscsi: 'pvscsi',
  am53c974: 'am53c974',
  'dc-390': 'dc390',
  ibmvscsi: 'spapr-vscsi',
};

function scsiProps(controller: Controller): LooseProps {
  const { model = 'lsilogic', driver } = controller;
  if (!model.startsWith('virtio-')) {
    const name = scsiDrivers[model] ?? unsupported(`unsupported controller model: ${model}`);
    return { driver: name, id: aliasOf(controller) };
  }
  return {
    ...virtioProps('virtio-scsi', controller, driver, model.replace('virtio-scsi', 'virtio')),
    iothread: driver?.iothread === undefined ? undefined : `iothread${driver.iothread}`,
    'iothread-vq-mapping': iothreadMapping(driver?.iothreads),
    id: aliasOf(controller),
    num_queues: nonZero(driver?.queues),
    cmd_per_lun: nonZero(driver?.cmd_per_lun),
    max_sectors: nonZero(driver?.max_sectors),
    ioeventfd: driver?.ioeventfd,
  };
}

function pciProps(controller: Controller): LooseProps | undefined {
  const { model, target, index } = controller;
  const driver = controller.modelElement?.name;
  const id = aliasOf(controller);
  switch (model) {
    case 'pcie-root':
      return undefined;
    case 'pci-root':
      return index === 0
        ? undefined
        : { driver: 'spapr-pci-host-bridge', index: target?.index, id, numa_node: target?.node };
    case 'pci-bridge':
      return { driver: 'pci-bridge', chassis_nr: target?.chassisNr, 'mem-reserve': memoryReserve(controller), id };
    case 'pci-expander-bus':
    case 'pcie-expander-bus':
      return {
        driver: model === 'pci-expander-bus' ? 'pxb' : 'pxb-pcie',
        bus_nr: target?.busNr,
        id,
        numa_node: target?.node,
      };
    case 'dmi-to-pci-bridge':
      return { driver: 'i82801b11-bridge', id };
    case 'pcie-to-pci-bridge':
      return { driver: 'pcie-pci-bridge', id, 'mem-reserve': memoryReserve(controller) };
    case 'pcie-root-port':
      return {
        driver: driver ?? 'ioh3420',
        port: target?.port,
        chassis: target?.chassis,
        id,
        hotplug: target?.hotplug,
        'mem-reserve': memoryReserve(controller),
      };
    case 'pcie-switch-upstream-port':
      return { driver: 'x3130-upstream', id };
    case 'pcie-switch-downstream-port':
      return {
        driver: 'xio3130-downstream',
        port: target?.port,
        chassis: target?.chassis,
        id,
        hotplug: target?.hotplug,
      };
    default:
      return unsupported(`PCI controller model '${model ?? ''}' is not supported`);
  }
}

/** Bytes; the document counts KiB. */
const memoryReserve = ({ target }: Controller): number | undefined =>
  target?.memReserve === undefined ? undefined : target.memReserve * 1024;

/** `-global` options for the part of the address space that the PCI host bridge leaves to 64-bit devices. */
export function addPciHole(out: CommandWords, { domain }: Guest): void {
  for (const { type, model, pcihole64 } of domain.devices.controllers) {
    if (type !== 'pci' || pcihole64 === undefined) continue;
    const bridge = model === 'pcie-root' ? 'q35-pcihost' : model === 'pci-root' ? 'i440FX-pcihost' : undefined;
    if (bridge) out.add('-global', `${bridge}.pci-hole64-size=${pcihole64}K`);
  }
}
