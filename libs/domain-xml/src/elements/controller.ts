/** `<controller>`: what other devices are plugged into. */
import { element, attr, leaf, one, oneOf, string, onOff, uint, ulong, int, kib, on, type Model } from '../schema';
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

/** The first port that each companion of a USB 2 controller serves. */
const companions: Readonly<Record<string, number>> = { 'ich9-uhci1': 0, 'ich9-uhci2': 2, 'ich9-uhci3': 4 };

export const controller = element('controller', fields, {
  refine: (model: Controller) => {
    const startport = companions[model.model ?? ''];
    if (startport !== undefined) model.master = { startport: model.master?.startport ?? startport };
  },
});
export type ControllerType = Controller['type'];
