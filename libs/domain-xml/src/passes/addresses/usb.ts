/** Ports on USB buses and hubs. */
import type { DeviceInfo } from '../../elements/device-info';
import type { Domain } from '../../elements/domain';
import { fail, Faults, lineOf } from '../../schema';

/** Ports of a controller of this model; companions have none of their own. */
function portsOf(model: string | undefined, ports: number | undefined): number {
  switch (model) {
    case 'piix3-uhci':
    case 'piix4-uhci':
    case 'vt82c686b-uhci':
      return 2;
    case 'ehci':
    case 'ich9-ehci1':
      return 6;
    case 'pci-ohci':
      return 3;
    case 'nec-xhci':
    case 'qemu-xhci':
      return ports ?? 4;
    case 'qusb1':
    case 'qusb2':
      return ports ?? 8;
    default:
      return 0;
  }
}

const hubPorts = 8;

/** A hub, or the root of a bus: which ports are taken, and by which hubs. */
class Hub {
  readonly taken = new Set<number>();
  readonly hubs = new Map<number, Hub>();

  constructor(readonly ports: number) {}

  /** The first free port, nearest to the root. */
  free(): string | undefined {
    for (let port = 1; port <= this.ports; port++) if (!this.taken.has(port)) return `${port}`;
    for (const [port, hub] of this.hubs) {
      const deeper = hub.free();
      if (deeper !== undefined) return `${port}.${deeper}`;
    }
    return undefined;
  }

  /** The hub that owns the last number of `port`, and that number. */
  find(port: string): { hub: Hub; port: number } | undefined {
    const dot = port.indexOf('.');
    const number = Number(dot < 0 ? port : port.slice(0, dot));
    if (dot >= 0) return this.hubs.get(number)?.find(port.slice(dot + 1));
    return number >= 1 && number <= this.ports ? { hub: this, port: number } : undefined;
  }

  get freePorts(): number {
    let count = this.ports - this.taken.size;
    for (const hub of this.hubs.values()) count += hub.freePorts;
    return count;
  }
}

class UsbBuses {
  readonly #buses = new Map<number, Hub>();

  constructor({ devices }: Domain) {
    for (const { type, index = 0, model, ports } of devices.controllers) {
      const count = type === 'usb' ? portsOf(model, ports) : 0;
      if (count > 0) this.#buses.set(index, new Hub(count));
    }
  }

  get freePorts(): number {
    return [...this.#buses.values()].reduce((sum, hub) => sum + hub.freePorts, 0);
  }

  reserve(bus: number, port: string, isHub: boolean, line: number | undefined): void {
    const where = { element: 'address', line };
    const root = this.#buses.get(bus);
    if (!root)
      fail(
        'XML_ERROR',
        `USB bus ${bus} requested but no controller with that index is present. Add <controller type='usb' index='${bus}'/>`,
        where,
      );
    const place = root.find(port);
    if (!place) fail('XML_ERROR', `Invalid USB address bus='${bus}' port='${port}'`, where);
    if (place.hub.taken.has(place.port)) fail('XML_ERROR', `Duplicate USB address bus ${bus} port ${port}`, where);
    place.hub.taken.add(place.port);
    if (isHub) place.hub.hubs.set(place.port, new Hub(hubPorts));
  }

  next(wanted: number | undefined, isHub: boolean, line: number | undefined): { bus: number; port: string } {
    for (const [bus, root] of this.#buses) {
      if (wanted !== undefined && bus !== wanted) continue;
      const port = root.free();
      if (port === undefined) continue;
      this.reserve(bus, port, isHub, line);
      return { bus, port };
    }
    return fail('XML_ERROR', 'No free USB ports', { element: 'address', line });
  }
}

/** Every device that hangs on a USB bus, hubs first, in the order in which ports are given out. */
export function usbDevices({ devices }: Domain): { device: DeviceInfo; hub: boolean }[] {
  const others: DeviceInfo[] = [
    ...devices.hostdevs.filter((one) => one.type === 'usb'),
    ...devices.disks.filter((one) => one.target.bus === 'usb'),
    ...devices.interfaces.filter((one) => one.model?.type === 'usb-net'),
    ...devices.controllers.filter((one) => one.type === 'ccid'),
    ...devices.inputs.filter((one) => one.bus === 'usb'),
    ...devices.serials.filter((one) => one.target?.type === 'usb-serial'),
    ...devices.sounds.filter((one) => one.model === 'usb'),
    ...devices.redirdevs,
    ...devices.filesystems.filter((one) => one.driver?.type === 'mtp'),
  ];
  return [
    ...devices.hubs.map((device) => ({ device, hub: true })),
    ...others.map((device) => ({ device, hub: false })),
  ];
}

/**
 * Gives ports to devices that have none. A domain that was defined without ports stays without (`fill` false): QEMU chose them, and
 * other ones would move its devices.
 */
export function assignUsb(domain: Domain, fill: boolean): void {
  const buses = new UsbBuses(domain);
  const needy = (): { device: DeviceInfo; hub: boolean }[] =>
    usbDevices(domain).filter(
      ({ device: { address } }) => address === undefined || (address.type === 'usb' && address.port === undefined),
    );
  const wanting = needy().length;
  const unplacedHubs = needy().filter(({ hub }) => hub).length;
  if ((wanting > 0 && !fill) || usbDevices(domain).length === 0) return;
  const reserved = usbDevices(domain).flatMap(({ device, hub }) =>
    device.address?.type === 'usb' && device.address.port !== undefined
      ? [{ device, hub, ...device.address, port: device.address.port }]
      : [],
  );
  // A hub's port must be known before those behind it.
  reserved.sort((a, b) => Number(b.hub) - Number(a.hub) || a.port.split('.').length - b.port.split('.').length);
  const faults = new Faults();
  for (const { device, hub, bus, port } of reserved)
    faults.attempt(() => buses.reserve(bus, port, hub, lineOf(device.address) ?? lineOf(device)));
  faults.throwIfAny();
  const lacking = wanting - buses.freePorts - unplacedHubs * hubPorts;
  if (lacking > 0) {
    // Each hub takes one port and gives eight; the reference keeps one in hand.
    const more = Math.ceil((lacking + 1) / (hubPorts - 1));
    for (let i = 0; i < more; i++) domain.devices.hubs.push({ type: 'usb' });
  }
  for (const { device, hub } of needy()) {
    const wanted = device.address?.type === 'usb' ? device.address.bus : undefined;
    device.address = { type: 'usb', ...buses.next(wanted, hub, lineOf(device)) };
  }
}
