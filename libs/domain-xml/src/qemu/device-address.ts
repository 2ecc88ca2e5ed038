/** Where a device sits, as QEMU's properties: bus, slot, port. */
import { isPseries } from '../passes/machine';
import { VirtError } from '@virtbus/shared';
import type { ControllerType } from '../elements/controller';
import type { Address, DeviceInfo } from '../elements/device-info';
import { findController } from '../passes/controllers';
import { aliasOf, type Guest } from './context';
import type { LooseProps } from './props';

const hexadecimal = (value: number): string => `0x${value.toString(16)}`;

/** The name of the bus that a controller offers; libvirt's alias of the controller unless QEMU has built it in. */
export function controllerAlias({ domain }: Guest, type: ControllerType, index: number): string {
  // A USB 2 controller and its companions share an index; the bus is the controller's own.
  const controller =
    domain.devices.controllers.find((one) => one.type === type && one.index === index && one.master === undefined) ??
    findController(domain, type, index);
  if (!controller)
    throw new VirtError('INTERNAL_ERROR', {
      detail: `could not find ${type} controller with index ${index} for device`,
    });
  return aliasOf(controller);
}

/** Properties for the device's address; nothing for one that has none. */
export function addressProps(guest: Guest, { address, acpi }: DeviceInfo): LooseProps {
  switch (address?.type) {
    case 'pci':
      return pciProps(guest, address, acpi?.index);
    case 'usb':
      return {
        bus: `${controllerAlias(guest, 'usb', address.bus)}.0`,
        port: address.port === undefined || address.port === '' ? undefined : address.port,
      };
    case 'ccid':
      return { bus: `${controllerAlias(guest, 'ccid', address.controller)}.0` };
    case 'virtio-serial':
      return {
        bus: `${controllerAlias(guest, 'virtio-serial', address.controller)}.${address.bus}`,
        nr: address.port,
      };
    case 'spapr-vio':
      return { reg: address.reg };
    case 'isa':
      return { iobase: address.iobase, irq: address.irq };
    case 'dimm':
      return { slot: address.slot, addr: address.base === 0 ? undefined : address.base };
    case 'ccw':
      return {
        devno:
          address.cssid === undefined
            ? undefined
            : `${address.cssid.toString(16)}.${(address.ssid ?? 0).toString(16)}.${(address.devno ?? 0).toString(16).padStart(4, '0')}`,
      };
    default:
      return {};
  }
}

function pciProps(guest: Guest, address: Extract<Address, { type: 'pci' }>, acpiIndex: number | undefined): LooseProps {
  const { slot, function: number } = address;
  return {
    bus: pciBus(guest, address.bus),
    multifunction: address.multifunction,
    addr: number === 0 ? hexadecimal(slot) : `${hexadecimal(slot)}.${hexadecimal(number)}`,
    'acpi-index': acpiIndex === 0 ? undefined : acpiIndex,
  };
}

/** Boards whose first PCI bus has no number. */
const firstBusIsPlain = /^versatile/;

function pciBus(guest: Guest, index: number): string {
  const controller = findController(guest.domain, 'pci', index);
  const alias = controllerAlias(guest, 'pci', index);
  // The first host bridge is the machine's own, whatever its user calls it.
  if (index === 0 && isPseries(guest.domain)) return 'pci.0';
  if (index === 0 && firstBusIsPlain.test(guest.domain.os.type?.machine ?? '')) return 'pci';
  // A further PCI host bridge is a device whose bus has a name of its own.
  const isHostBridge = controller?.model === 'pci-root' && index > 0;
  return isHostBridge || (controller?.modelElement?.name === 'spapr-pci-host-bridge' && index > 0)
    ? `${alias}.0`
    : alias;
}
