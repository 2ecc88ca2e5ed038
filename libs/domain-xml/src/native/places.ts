/**
 * Controllers, and the buses they offer by name: where a device says it sits becomes its `<address>`.
 *
 * A device that does not say gets a place from the document's own rules, as QEMU would choose one.
 */
import { peek, type DeviceSketch, type Draft } from './draft';
import { NotUnderstood } from './not-understood';
import type { Values } from './values';
import { optional, threadOf, virtioDriver, virtioName } from './virtio';

type Controller = DeviceSketch<'controllers'>;
type Kind = NonNullable<Controller['type']>;
type Address = NonNullable<DeviceSketch<'inputs'>['address']>;

interface Bus {
  readonly kind: Kind;
  readonly index: number;
  /** A port that takes one device, always at slot 0. */
  readonly isPort?: boolean;
}

interface Known {
  readonly kind: Kind;
  readonly model?: string;
  readonly isPort?: boolean;
  /** The properties that only this kind of controller has. */
  readonly read?: (controller: Controller, values: Values) => void;
}

const port = (controller: Controller, values: Values): void => {
  const [number, chassis] = [values.takeNumber('port'), values.takeNumber('chassis')];
  const hotplug = values.takeFlag('hotplug');
  controller.target = {
    ...(chassis !== undefined && { chassis }),
    ...(number !== undefined && { port: number }),
    ...(hotplug !== undefined && { hotplug }),
  };
};
const expander = (controller: Controller, values: Values): void => {
  controller.target = {
    ...optional('busNr', values.takeNumber('bus_nr')),
    ...optional('node', values.takeNumber('numa_node')),
  };
};
const bridge = (controller: Controller, values: Values): void => {
  controller.target = optional('chassisNr', values.takeNumber('chassis_nr'));
};
const xhci = (controller: Controller, values: Values): void => {
  const [p2, p3] = [values.takeNumber('p2'), values.takeNumber('p3')];
  if (p2 !== p3) throw new NotUnderstood('p2 and p3 differ');
  if (p2 !== undefined) controller.ports = p2;
};
const virtioScsi = (controller: Controller, values: Values): void => {
  const driver = {
    ...optional('queues', values.takeNumber('num_queues')),
    ...optional('cmd_per_lun', values.takeNumber('cmd_per_lun')),
    ...optional('max_sectors', values.takeNumber('max_sectors')),
    ...optional('ioeventfd', values.takeFlag('ioeventfd')),
    ...threadOf(values),
    ...virtioDriver(values).driver,
  };
  if (Object.keys(driver).length > 0) controller.driver = driver;
};
const virtioSerial = (controller: Controller, values: Values): void => {
  Object.assign(controller, virtioDriver(values));
  Object.assign(
    controller,
    optional('ports', values.takeNumber('max_ports')),
    optional('vectors', values.takeNumber('vectors')),
  );
};

const known: Readonly<Record<string, Known>> = {
  'pcie-root-port': { kind: 'pci', model: 'pcie-root-port', isPort: true, read: port },
  ioh3420: { kind: 'pci', model: 'pcie-root-port', isPort: true, read: port },
  'x3130-upstream': { kind: 'pci', model: 'pcie-switch-upstream-port' },
  'xio3130-downstream': { kind: 'pci', model: 'pcie-switch-downstream-port', isPort: true, read: port },
  'pcie-pci-bridge': { kind: 'pci', model: 'pcie-to-pci-bridge' },
  'i82801b11-bridge': { kind: 'pci', model: 'dmi-to-pci-bridge' },
  'pci-bridge': { kind: 'pci', model: 'pci-bridge', read: bridge },
  pxb: { kind: 'pci', model: 'pci-expander-bus', read: expander },
  'pxb-pcie': { kind: 'pci', model: 'pcie-expander-bus', read: expander },
  'piix3-usb-uhci': { kind: 'usb', model: 'piix3-uhci' },
  'piix4-usb-uhci': { kind: 'usb', model: 'piix4-uhci' },
  'usb-ehci': { kind: 'usb', model: 'ehci' },
  'ich9-usb-ehci1': { kind: 'usb', model: 'ich9-ehci1' },
  'pci-ohci': { kind: 'usb', model: 'pci-ohci' },
  'nec-usb-xhci': { kind: 'usb', model: 'nec-xhci', read: xhci },
  'qemu-xhci': { kind: 'usb', model: 'qemu-xhci', read: xhci },
  'virtio-scsi': { kind: 'scsi', model: 'virtio-scsi', read: virtioScsi },
  lsi: { kind: 'scsi', model: 'lsilogic' },
  lsi53c895a: { kind: 'scsi', model: 'lsilogic' },
  megasas: { kind: 'scsi', model: 'lsisas1078' },
  mptsas1068: { kind: 'scsi', model: 'lsisas1068' },
  pvscsi: { kind: 'scsi', model: 'vmpvscsi' },
  am53c974: { kind: 'scsi', model: 'am53c974' },
  'virtio-serial': { kind: 'virtio-serial', read: virtioSerial },
  ahci: { kind: 'sata' },
  'ich9-ahci': { kind: 'sata' },
  'usb-ccid': { kind: 'ccid' },
};

/** The companions of a USB 2 controller share its index. */
const companions = /^ich9-usb-uhci([123])$/;

export class Places {
  readonly #buses = new Map<string, Bus>();
  readonly #taken = new Map<Kind, Set<number>>();

  constructor(private readonly draft: Draft) {
    const machine = draft.domain.os?.type?.machine ?? '';
    this.isQ35 = /q35/.test(machine);
    for (const name of ['pci.0', 'pcie.0', 'pci']) this.#offer(name, { kind: 'pci', index: 0 });
    // An AHCI controller has six buses of one disk each, an IDE controller two of two.
    if (this.isQ35) for (let n = 0; n < 6; n++) this.#offer(`ide.${n}`, { kind: 'sata', index: 0 });
    else for (const n of [0, 1]) this.#offer(`ide.${n}`, { kind: 'ide', index: 0 });
    this.#read();
  }

  readonly isQ35: boolean;

  #offer(name: string, bus: Bus): void {
    this.#buses.set(name, bus);
    const taken = this.#taken.get(bus.kind) ?? new Set();
    this.#taken.set(bus.kind, taken.add(bus.index));
  }

  /** The number at the end of the controller's id where that is free, so that the document keeps its numbers. */
  #indexFor(kind: Kind, id: string | undefined): number {
    const taken = this.#taken.get(kind) ?? new Set();
    const wish = Number(/(\d+)$/.exec(id ?? '')?.[1] ?? 'NaN');
    const mayWish = kind !== 'usb' || /^usb\d*$/.test(id ?? '');
    if (mayWish && wish <= 255 && !taken.has(wish)) return wish;
    for (let index = 0; ; index++) if (!taken.has(index)) return index;
  }

  /** Buses are named before anything is placed on them: a bridge may sit on one that comes later. */
  #read(): void {
    const options = this.draft.open('-device');
    const own = options.flatMap((option) => {
      const what = known[virtioName(peek(option, 'driver') ?? '').name];
      if (!what) return [];
      const id = peek(option, 'id');
      const index = this.#indexFor(what.kind, id);
      const name = busName(what.kind, id ?? `${what.kind}-${index}`);
      this.#offer(name, { ...what, index });
      if (what.kind === 'sata') for (let n = 0; n < 6; n++) this.#offer(`${id}.${n}`, { kind: 'sata', index });
      return [{ option, what, index, name }];
    });
    for (const { option, what, index, name } of own) {
      const isRead = this.draft.understand(option, (_, values) => this.#controller(what, index, values));
      // What sits on a controller that the document cannot name cannot be placed either.
      if (!isRead) this.#buses.delete(name);
    }
    for (const option of options)
      if (companions.test(peek(option, 'driver') ?? ''))
        this.draft.understand(option, (_, values) => this.#companion(values));
  }

  #controller({ kind, model, read }: Known, index: number, values: Values): () => void {
    const driver = values.take('driver');
    values.take('id');
    // An older or newer generation of virtio is a model of its own.
    const chosen = virtioName(driver ?? '').model ?? model;
    const controller: Controller = { type: kind, index, ...optional('model', chosen) };
    if (model === 'pcie-root-port' && driver !== undefined) controller.modelElement = { name: driver };
    read?.(controller, values);
    Object.assign(controller, kind === 'ccid' ? this.usb(values) : this.address(values));
    return () => this.draft.add('controllers', controller);
  }

  #companion(values: Values): () => void {
    const number = companions.exec(values.take('driver') ?? '')![1]!;
    values.take('id');
    const master = this.#buses.get(values.take('masterbus') ?? '');
    const startport = values.takeNumber('firstport') ?? 0;
    if (master?.kind !== 'usb') throw new NotUnderstood('its master is not there');
    const controller: Controller = {
      type: 'usb',
      index: master.index,
      model: `ich9-uhci${number}`,
      master: { startport },
    };
    Object.assign(controller, this.address(values));
    return () => this.draft.add('controllers', controller);
  }

  /** The bus that a device names, read from its options; undefined when it names none. */
  bus(values: Values, kind: Kind): Bus | undefined {
    const name = values.take('bus');
    if (name === undefined) return undefined;
    const bus = this.#buses.get(name);
    if (bus?.kind !== kind) throw new NotUnderstood(`there is no ${kind} bus '${name}'`);
    return bus;
  }

  /** The address of a device that sits on PCI, on another of QEMU's own buses, or wherever the machine has it. */
  address(values: Values): { address?: Address } {
    const channel = values.take('devno');
    if (channel !== undefined) return { address: channelPlace(channel) };
    const bus = this.bus(values, 'pci');
    const at = values.take('addr');
    const multifunction = values.takeFlag('multifunction');
    const place = at === undefined ? (bus?.isPort ? { slot: 0, function: 0 } : undefined) : pciPlace(at);
    if (!place) return {};
    return {
      address: { type: 'pci', domain: 0, bus: bus?.index ?? 0, ...place, ...optional('multifunction', multifunction) },
    };
  }

  /** The address of a USB device. */
  usb(values: Values): { address?: Address } {
    const bus = this.bus(values, 'usb');
    const usbPort = values.take('port');
    if (usbPort === undefined) return {};
    return { address: { type: 'usb', bus: bus?.index ?? 0, port: usbPort } };
  }
}

function busName(kind: Kind, id: string): string {
  return kind === 'pci' ? id : `${id}.0`;
}

/** `fe.0.0001`: where a device of a mainframe sits. */
function channelPlace(text: string): Extract<Address, { type?: 'ccw' | undefined }> {
  const match = /^([\da-f]+)\.([\da-f]+)\.([\da-f]+)$/i.exec(text);
  if (!match) throw new NotUnderstood(`devno=${text} is no place on a channel`);
  const [cssid = 0, ssid = 0, devno = 0] = match.slice(1).map((part) => Number.parseInt(part, 16));
  return { type: 'ccw', cssid, ssid, devno };
}

/** `2`, `0x2`, `02.1`, `0x2.0x1`: slot and function, hexadecimal. */
function pciPlace(text: string): { slot: number; function: number } {
  const match = /^(?:0x)?([\da-f]+)(?:\.(?:0x)?([0-7]))?$/i.exec(text);
  if (!match) throw new NotUnderstood(`addr=${text} is no place on a PCI bus`);
  return { slot: Number.parseInt(match[1]!, 16), function: Number(match[2] ?? 0) };
}
