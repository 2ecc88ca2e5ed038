/**
 * USB devices of this host that guests are given: found by what they are, or by where they are plugged in. One that is not there
 * keeps a guest from starting unless its definition says that it can do without.
 *
 *               boot        restore
 *   mandatory   –           –
 *   requisite   –           without
 *   optional    without     without
 *
 * A guest that goes without has a place for it on its bus all the same, as a restored state expects one.
 * Sources: the kernel's ABI/stable/sysfs-bus-usb; libvirt's formatdomain on `startupPolicy` of `<hostdev>`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Domain, StartKind } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';

const sysfs = '/sys/bus/usb/devices';

type Hostdev = Domain['devices']['hostdevs'][number];

interface UsbDevice {
  vendor: number;
  product: number;
  bus: number;
  device: number;
}

/** The domain with every USB device of the host located, or marked as missing. Throws OPERATION_FAILED. */
export function withUsbDevices(domain: Domain, start: StartKind, folder = sysfs): Domain {
  if (!domain.devices.hostdevs.some(isUsb)) return domain;
  const present = usbDevicesIn(folder);
  const hostdevs = domain.devices.hostdevs.map((one) => (isUsb(one) ? located(one, present, start) : one));
  return { ...domain, devices: { ...domain.devices, hostdevs } };
}

/** A device that joins a running guest: it must be there. Throws OPERATION_FAILED. */
export function locateUsb(hostdev: Hostdev, folder = sysfs): Hostdev {
  return isUsb(hostdev) ? at(hostdev, theOne(hostdev, usbDevicesIn(folder))) : hostdev;
}

/** What QEMU opens of a device that has been located. */
export function usbNode({ type, source }: Hostdev): string | undefined {
  const { bus, device } = source?.address ?? {};
  if (type !== 'usb' || source?.missing || bus === undefined || device === undefined) return undefined;
  return `/dev/bus/usb/${String(bus).padStart(3, '0')}/${String(device).padStart(3, '0')}`;
}

const isUsb = ({ mode, type }: Hostdev): boolean => mode === 'subsystem' && type === 'usb';

function located(hostdev: Hostdev, present: readonly UsbDevice[], start: StartKind): Hostdev {
  const policy = hostdev.source?.startupPolicy;
  const dispensable = policy === 'optional' || (policy === 'requisite' && start === 'restore');
  if (dispensable && matching(hostdev, present).length === 0) {
    return { ...hostdev, source: { ...hostdev.source!, missing: true } };
  }
  return at(hostdev, theOne(hostdev, present));
}

const at = (hostdev: Hostdev, { bus, device }: UsbDevice): Hostdev => {
  const { missing: _found, ...source } = hostdev.source!;
  return { ...hostdev, source: { ...source, address: { ...source.address, bus, device } } };
};

function theOne(hostdev: Hostdev, present: readonly UsbDevice[]): UsbDevice {
  const [found, another] = matching(hostdev, present);
  if (!found) throw new VirtError('OPERATION_FAILED', { detail: `Did not find USB device ${nameOf(hostdev)}` });
  if (!another) return found;
  const detail = `Multiple USB devices for ${nameOf(hostdev)}, use <address> to specify one`;
  throw new VirtError('OPERATION_FAILED', { detail });
}

function matching({ source }: Hostdev, present: readonly UsbDevice[]): readonly UsbDevice[] {
  const { vendor, product, address } = source ?? {};
  const isSame = <T>(asked: T | undefined, has: T): boolean => asked === undefined || asked === has;
  return present.filter(
    (one) =>
      isSame(vendor?.id, one.vendor) &&
      isSame(product?.id, one.product) &&
      isSame(address?.bus, one.bus) &&
      isSame(address?.device, one.device),
  );
}

function nameOf({ source }: Hostdev): string {
  const { vendor, product, address } = source ?? {};
  const id = (value: number): string => value.toString(16).padStart(4, '0');
  const kind = vendor && product ? [`${id(vendor.id)}:${id(product.id)}`] : [];
  const place = address?.device === undefined ? [] : [`bus:${address.bus ?? 0} device:${address.device}`];
  return [...kind, ...place].join(' ');
}

/** Interfaces and ports are listed beside the devices, without numbers of their own. */
function usbDevicesIn(folder: string): UsbDevice[] {
  return namesIn(folder).flatMap((name) => {
    const number = (file: string, base: number): number => parseInt(textOf(join(folder, name, file)), base);
    const found = {
      ...{ vendor: number('idVendor', 16), product: number('idProduct', 16) },
      ...{ bus: number('busnum', 10), device: number('devnum', 10) },
    };
    return Object.values(found).some(Number.isNaN) ? [] : [found];
  });
}

/** A host without a USB controller has no such folder. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Empty for what is not there, or has been pulled out just now. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
