/** `<controller>`: what other devices are plugged into. */
import {
  element,
  attr,
  leaf,
  one,
  oneOf,
  string,
  onOff,
  uint,
  ulong,
  int,
  kib,
  on,
  type Model,
  type ReadContext,
} from '../schema';
import type { XmlElement } from '../xml/reader';
import { deviceInfo, iothreadMapping, virtioOptions } from './device-info';

export const controllerTypes = [
  'ide',
  'fdc',
  'scsi',
  'sata',
  'virtio-serial',
  'ccid',
  'usb',
  'pci',
  'xenbus',
  'isa',
] as const;

const byte = int({ min: 0, max: 255 });

const target = element('target', {
  chassisNr: attr(byte, {
    refuse: ['XML_ERROR', (raw) => `Invalid value for attribute 'chassisNr' in element 'target': '${raw}'`],
  }),
  chassis: attr(byte),
  port: attr({ ...byte, format: (port: number) => `0x${port.toString(16)}` }),
  busNr: attr(byte),
  index: attr(int({ min: 0, max: 65535 })),
  hotplug: attr(onOff),
  memReserve: attr(ulong),
  node: leaf(uint),
});

const driver = element('driver', {
  queues: attr(uint),
  cmd_per_lun: attr(uint),
  max_sectors: attr(uint),
  ioeventfd: attr(onOff),
  iothread: attr(uint),
  ...virtioOptions,
  iothreads: one(iothreadMapping),
});

const { alias: aliasField, ...place } = deviceInfo;

const fields = {
  type: attr(oneOf(...controllerTypes), {
    required: true,
    refuse: ['INTERNAL_ERROR', (raw) => `Unknown controller type '${raw}'`],
  }),
  /** -1 until the manager has chosen one. */
  index: attr(int({ min: 0 }, 'non-negative value')),
  model: attr(string),
  ports: attr(int({ min: 0 }, 'non-negative value')),
  vectors: attr(int({ min: 0 }, 'non-negative value')),
  maxGrantFrames: attr(uint),
  maxEventChannels: attr(uint),
  modelElement: one(element('model', { name: attr(string) }), { when: on('type', 'pci') }),
  target: one(target, { when: on('type', 'pci') }),
  pcihole64: leaf(kib, { when: on('type', 'pci') }),
  driver: one(driver),
  alias: aliasField,
  master: one(element('master', { startport: attr(uint) })),
  ...place,
};
export type Controller = Model<typeof fields>;

const virtioGenerations = ['virtio-transitional', 'virtio-non-transitional'];

/** Models by type; a type that is missing has none. */
const models: Readonly<Partial<Record<Controller['type'], readonly string[]>>> = {
  ide: ['piix3', 'piix4', 'ich6'],
  pci: [
    ...['pci-root', 'pcie-root', 'pci-bridge', 'dmi-to-pci-bridge', 'pcie-to-pci-bridge', 'pcie-root-port'],
    ...['pcie-switch-upstream-port', 'pcie-switch-downstream-port', 'pci-expander-bus', 'pcie-expander-bus'],
  ],
  scsi: [
    ...['auto', 'buslogic', 'lsilogic', 'lsisas1068', 'lsisas1078', 'vmpvscsi', 'ibmvscsi', 'virtio-scsi'],
    ...[...virtioGenerations, 'ncr53c90', 'dc390', 'am53c974'],
  ],
  usb: [
    ...['piix3-uhci', 'piix4-uhci', 'vt82c686b-uhci', 'ehci', 'ich9-ehci1', 'ich9-uhci1', 'ich9-uhci2', 'ich9-uhci3'],
    ...['pci-ohci', 'nec-xhci', 'qusb1', 'qusb2', 'qemu-xhci', 'none'],
  ],
  'virtio-serial': ['virtio', ...virtioGenerations],
};

function refuseUnknownModel({ type, model }: Controller, { name, line }: XmlElement, context: ReadContext): void {
  const known = models[type] ?? [];
  if (model === undefined || known.includes(model)) return;
  const allowed = known.length === 0 ? `A ${type} controller has none` : `Expected one of '${known.join("', '")}'`;
  const where = { element: name, attribute: 'model', line };
  context.fault('XML_ERROR', `Unknown model type '${model}'. ${allowed}`, where);
}

/** The first port that each companion of a USB 2 controller serves. */
const companions: ReadonlyMap<string | undefined, number> = new Map([
  ['ich9-uhci1', 0],
  ['ich9-uhci2', 2],
  ['ich9-uhci3', 4],
]);

export const controller = element('controller', fields, {
  refine: (model: Controller, source, context) => {
    refuseUnknownModel(model, source, context);
    const startport = companions.get(model.model);
    if (startport !== undefined) model.master = { startport: model.master?.startport ?? startport };
  },
});
export type ControllerType = Controller['type'];
