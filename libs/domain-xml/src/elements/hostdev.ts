/** `<hostdev>`: a device of the host given to the guest. */
import {
  element,
  attr,
  flag,
  leaf,
  one,
  many,
  oneOf,
  string,
  yesNo,
  onOff,
  uint,
  ulong,
  uuid,
  hex,
  on,
  type Model,
  type ModelOf,
} from '../schema';
import { romInfo } from './device-info';
import { guestAddress, guestRoute } from './guest-address';
import { imagePrivateData } from './private-data';
import { auth } from './storage-source';

const usbId = element('vendor', { id: attr(hex(4, { max: 0xffff }), { required: true }) });

const locationFields = {
  type: attr(oneOf('pci', 'usb', 'drive')),
  domain: attr(hex(4, { max: 0xffff })),
  bus: attr(uint),
  slot: attr(hex(2, { max: 0x1f })),
  function: attr(hex(1, { max: 7 })),
  target: attr(uint),
  unit: attr(ulong),
  device: attr(uint),
  uuid: attr(uuid),
};
export type HostLocation = Model<typeof locationFields>;

/** Where a device sits on the host: a PCI slot, a USB bus and device, a SCSI unit, or a mediated device's uuid. */
export const hostLocation = element('address', locationFields, {
  refine: (location: HostLocation) => {
    if (location.slot === undefined && location.function === undefined) return;
    for (const part of ['domain', 'bus', 'slot', 'function'] as const) location[part] ??= 0;
  },
  // A bus is hexadecimal among PCI's numbers and decimal elsewhere.
  shape: (location: HostLocation) =>
    location.slot === undefined
      ? location
      : { ...location, bus: `0x${(location.bus ?? 0).toString(16).padStart(2, '0')}` },
});

export const hostdev = element('hostdev', {
  mode: attr(oneOf('subsystem', 'capabilities'), { default: 'subsystem' }),
  type: attr(oneOf('usb', 'pci', 'scsi', 'scsi_host', 'mdev', 'storage', 'misc', 'net'), { required: true }),
  managed: attr(yesNo),
  sgio: attr(oneOf('filtered', 'unfiltered')),
  rawio: attr(yesNo),
  model: attr(string),
  display: attr(onOff),
  ramfb: attr(onOff),
  driver: one(
    element('driver', {
      name: attr(oneOf('kvm', 'vfio', 'xen')),
      model: one(element('model', { name: attr(string) })),
    }),
  ),
  source: one(
    element('source', {
      protocol: attr(string),
      name: attr(string),
      wwpn: attr(string),
      startupPolicy: attr(oneOf('mandatory', 'requisite', 'optional')),
      writeFiltering: attr(yesNo),
      guestReset: attr(oneOf('off', 'uninitialized', 'on')),
      missing: attr(yesNo, { live: true }),
      vendor: one(usbId),
      product: one({ ...usbId, name: 'product' }),
      adapter: one(element('adapter', { name: attr(string) })),
      hosts: many(element('host', { name: attr(string), port: attr(uint) })),
      address: one(hostLocation),
      /** What is to be undone on the host when the guest gives the device back. */
      origstates: one(element('origstates', { unbind: flag(), removeslot: flag(), reprobe: flag() }), { status: true }),
      privateData: one(imagePrivateData, { status: true }),
      auth: one(auth),
      initiator: one(element('initiator', { iqn: one(element('iqn', { name: attr(string) })) })),
      block: leaf(string),
      char: leaf(string),
      interface: leaf(string),
    }),
  ),
  /** Addresses that a card of the host has inside a container. */
  ips: many(guestAddress, { when: on('mode', 'capabilities') }),
  routes: many(guestRoute, { when: on('mode', 'capabilities') }),
  teaming: one(element('teaming', { type: attr(oneOf('persistent', 'transient')), persistent: attr(string) })),
  readonly: flag(),
  shareable: flag(),
  ...romInfo,
});
export type Hostdev = ModelOf<typeof hostdev>;
