/** What every device may carry: its alias, its place on a bus, its rank in the boot order, its option ROM. */
import {
  element,
  one,
  many,
  leaf,
  attr,
  union,
  onOff,
  yesNo,
  string,
  pattern,
  anyString,
  uint,
  int,
  hex,
  positive,
  type ModelOf,
  type Value,
} from '../schema';

/** One number of a PCI address, with libvirt's words for one that is too large. */
const pciNumber = (name: string, digits: number, max: number) =>
  ({
    value: hex(digits, { max }),
    options: {
      default: 0,
      refuse: [
        'XML_ERROR',
        (raw: string) => {
          const number = Number(raw);
          const shown = Number.isNaN(number) ? `'${raw}'` : `0x${number.toString(16)}`;
          const quoted = name === 'function' || Number.isNaN(number) ? shown : `'${shown}'`;
          const limit = name === 'function' ? '7' : `0x${max.toString(16).toUpperCase()}`;
          return `Invalid PCI address ${name}=${quoted}, must be <= ${limit}`;
        },
      ],
    },
  }) as const;

const pciDomain = pciNumber('domain', 4, 0xffff);
const pciBus = pciNumber('bus', 2, 0xff);
const pciSlot = pciNumber('slot', 2, 0x1f);
const pciFunction = pciNumber('function', 1, 7);

/** Extra ids that s390 guests know a PCI device by. */
const zpci = element('zpci', {
  uid: attr(hex(4, { min: 1, max: 0xffff }), {
    refuse: [
      'XML_ERROR',
      (raw) =>
        `Invalid PCI address uid='0x${(Number(raw) || 0).toString(16).padStart(4, '0')}', must be > 0x0000 and <= 0xffff`,
    ],
  }),
  fid: attr(hex(8, { max: 0xffffffff })),
});

/** Where a PCI device sits on its host or in its guest. */
export const pciLocation = {
  domain: attr(pciDomain.value, pciDomain.options),
  bus: attr(pciBus.value, pciBus.options),
  slot: attr(pciSlot.value, pciSlot.options),
  function: attr(pciFunction.value, pciFunction.options),
};

/** A port of nested USB hubs, such as `1.3`. */
const usbPort: Value<string> = {
  parse: (raw) => (/^\d+(\.\d+){0,3}$/.test(raw) ? raw : undefined),
  format: (port) => port,
  json: { type: 'string', pattern: '^\\d+(\\.\\d+){0,3}$' },
  expects: "a port such as '2' or '2.1'",
};

const drivePosition = (maximum: number) =>
  attr(int({ min: 0, max: maximum }, 'non-negative integer value'), { default: 0 });

export const address = union(
  'address',
  'type',
  {
    pci: { ...pciLocation, multifunction: attr(onOff), zpci: one(zpci) },
    drive: {
      controller: drivePosition(0xffffffff),
      bus: drivePosition(0xffffffff),
      target: drivePosition(0xffffffff),
      unit: drivePosition(0xffffffff),
    },
    'virtio-serial': { controller: attr(uint, { default: 0 }), bus: attr(uint, { default: 0 }), port: attr(uint) },
    ccid: { controller: attr(uint, { default: 0 }), slot: attr(uint, { default: 0 }) },
    usb: {
      bus: attr(uint, { default: 0 }),
      port: attr(usbPort, { refuse: ['INTERNAL_ERROR', () => "Cannot parse <address> 'port' attribute"] }),
    },
    'spapr-vio': { reg: attr(hex(8)) },
    ccw: { cssid: attr(hex(1, { max: 254 })), ssid: attr(hex(1, { max: 3 })), devno: attr(hex(4, { max: 0xffff })) },
    'virtio-mmio': {},
    isa: { iobase: attr(hex(1)), irq: attr(hex(1)) },
    dimm: { slot: attr(uint), base: attr(hex(1)) },
    unassigned: {},
  },
  {
    unknown: (type) => `unknown address type '${type}'`,
    // A place on the bus is wanted, and not chosen yet.
    shapes: {
      pci: (model) =>
        isEmptyPci(model)
          ? { ...model, domain: undefined, bus: undefined, slot: undefined, function: undefined }
          : model,
    },
  },
);
export type Address = ModelOf<typeof address>;
export type AddressType = Address['type'];
export type PciAddress = Extract<Address, { type: 'pci' }>;
export type DriveAddress = Extract<Address, { type: 'drive' }>;
export type UsbAddress = Extract<Address, { type: 'usb' }>;
export type VirtioSerialAddress = Extract<Address, { type: 'virtio-serial' }>;

/** A device's place is wanted on this bus, but not chosen yet. */
export const isEmptyPci = (place: { domain: number; bus: number; slot: number; function: number }): boolean =>
  place.domain === 0 && place.bus === 0 && place.slot === 0 && place.function === 0;

/** A name that the user chose, and which therefore stays; all others are given at each start. */
export const isUserAlias = (name: string): boolean => name.startsWith('ua-');

export const alias = element('alias', { name: attr(string, { required: true }) });
export type Alias = ModelOf<typeof alias>;

export const boot = element('boot', {
  order: attr(positive, {
    required: true,
    refuse: [
      'XML_ERROR',
      (raw) => `Invalid value for attribute 'order' in element 'boot': '${raw}'. Expected integer value greater than 0`,
    ],
  }),
  loadparm: attr(
    { ...pattern(/^[a-zA-Z0-9. ]{1,8}$/, 'up to 8 letters, digits, dots and blanks', (raw) => raw.toUpperCase()) },
    {
      refuse: [
        'INTERNAL_ERROR',
        (raw) =>
          raw.length > 8 || raw.length === 0
            ? `loadparm value '${raw.toUpperCase()}' must be between 1 and 8 characters`
            : `invalid loadparm value '${raw.toUpperCase()}', expecting chars in set of [a-zA-Z0-9.] and blank spaces`,
      ],
    },
  ),
});

const acpi = element('acpi', { index: attr(uint) });

const rom = element('rom', { enabled: attr(yesNo), bar: attr(onOff), file: attr(anyString) });

const aliasField = one(alias, { live: ({ name }: Partial<Alias>) => !isUserAlias(name ?? '') });

/** For a device that can not be booted from. */
export const deviceInfo = {
  alias: aliasField,
  acpi: one(acpi),
  address: one(address),
};

/** For a device that can be booted from. */
export const bootableInfo = { boot: one(boot), ...deviceInfo };

/** For a PCI device with an option ROM that can be booted from. */
export const romInfo = { boot: one(boot), alias: aliasField, rom: one(rom), acpi: one(acpi), address: one(address) };

export interface DeviceInfo {
  alias?: Alias | undefined;
  acpi?: ModelOf<typeof acpi> | undefined;
  address?: Address | undefined;
}

/** `<driver>` attributes that all virtio devices share. */
export const virtioOptions = {
  iommu: attr(onOff),
  ats: attr(onOff),
  packed: attr(onOff),
  page_per_vq: attr(onOff),
};

/** A `<driver>` with nothing but what all virtio devices share. */
export const virtioDriver = element('driver', virtioOptions);

/** A label of the host's security driver on one file or socket. */
export const deviceSeclabel = element('seclabel', {
  model: attr(string),
  relabel: attr(yesNo),
  labelskip: attr(yesNo),
  label: leaf(string),
});

/** Ids of threads that serve a device's queues, and which queues each one serves. */
export const iothreadMapping = element('iothreads', {
  iothread: many(
    element('iothread', {
      id: attr(uint, { required: true }),
      queue: many(element('queue', { id: attr(uint, { required: true }) })),
    }),
  ),
});
