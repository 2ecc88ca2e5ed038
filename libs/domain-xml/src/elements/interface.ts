/** `<interface>`: network cards and what they are connected to. */
import {
  element,
  attr,
  leaf,
  one,
  many,
  oneOf,
  string,
  yesNo,
  onOff,
  uint,
  ulong,
  int,
  mac,
  uuid,
  on,
  type Model,
  type ModelOf,
} from '../schema';
import { romInfo, virtioOptions } from './device-info';
import { guestAddress, guestRoute } from './guest-address';
import { hostLocation } from './hostdev';
import { reconnect } from './storage-source';

export const interfaceTypes = [
  'user',
  'ethernet',
  'vhostuser',
  'server',
  'client',
  'mcast',
  'network',
  'bridge',
  'internal',
  'direct',
  'hostdev',
  'udp',
  'vdpa',
  'null',
  'vds',
] as const;

const portNumber = int({ min: 0, max: 65535 });

const source = element('source', {
  network: attr(string),
  portgroup: attr(string),
  portid: attr(string, { live: true }),
  bridge: attr(string),
  macTableManager: attr(oneOf('kernel', 'libvirt'), { live: true }),
  type: attr(oneOf('unix')),
  address: attr(string),
  port: attr(portNumber),
  path: attr(string),
  dev: attr(string),
  mode: attr(string),
  name: attr(string),
  switchid: attr(uuid),
  portgroupid: attr(string),
  connectionid: attr(ulong),
  local: one(element('local', { address: attr(string), port: attr(portNumber) })),
  hostAddress: one(hostLocation),
  reconnect: one(reconnect),
  ips: many(guestAddress),
  routes: many(guestRoute),
});
export type InterfaceSource = ModelOf<typeof source>;

const virtualport = element(
  'virtualport',
  {
    type: attr(oneOf('802.1Qbg', '802.1Qbh', 'openvswitch', 'midonet')),
    parameters: one(
      element('parameters', {
        managerid: attr(uint),
        typeid: attr(uint),
        typeidversion: attr(uint),
        instanceid: attr(uuid),
        interfaceid: attr(uuid),
        profileid: attr(string),
      }),
    ),
  },
  { keepEmpty: true },
);

const rate = (name: string) =>
  element(name, {
    average: attr(ulong),
    peak: attr(ulong),
    floor: attr(ulong),
    burst: attr(ulong),
  });

const offloads = {
  csum: attr(onOff),
  gso: attr(onOff),
  tso4: attr(onOff),
  tso6: attr(onOff),
  ecn: attr(onOff),
  ufo: attr(onOff),
  mrg_rxbuf: attr(onOff),
};
const { csum, tso4, tso6, ecn, ufo } = offloads;

const driver = element('driver', {
  name: attr(string),
  txmode: attr(oneOf('iothread', 'timer')),
  ioeventfd: attr(onOff),
  event_idx: attr(onOff),
  queues: attr(int({ min: 0, max: 2 ** 32 - 1 }, 'non-negative integer value'), { omit: 1 }),
  rx_queue_size: attr(uint),
  tx_queue_size: attr(uint),
  rss: attr(onOff),
  rss_hash_report: attr(onOff),
  ...virtioOptions,
  model: one(element('model', { name: attr(string) })),
  host: one(element('host', offloads)),
  guest: one(element('guest', { csum, tso4, tso6, ecn, ufo })),
});

const portForward = element('portForward', {
  proto: attr(oneOf('tcp', 'udp'), { required: true }),
  address: attr(string),
  dev: attr(string),
  ranges: many(
    element('range', { start: attr(portNumber), end: attr(portNumber), to: attr(portNumber), exclude: attr(yesNo) }),
  ),
});

const generatedTarget = /^(vnet|vdpa|macvtap|macvlan)\d+$/;

const fields = {
  type: attr(oneOf(...interfaceTypes), {
    required: true,
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown interface type '${raw}'`],
  }),
  managed: attr(yesNo, { when: on('type', 'hostdev') }),
  trustGuestRxFilters: attr(yesNo),
  mac: one(
    element('mac', {
      address: attr(mac, { required: true, refuse: ['XML_ERROR', (raw) => `unable to parse mac address '${raw}'`] }),
      type: attr(oneOf('generated', 'static'), { omit: 'generated' }),
      check: attr(yesNo),
      currentAddress: attr(mac, { live: true }),
    }),
  ),
  source: one(source),
  /** What an interface on a network turned out to be. */
  actual: one(
    element('actual', {
      type: attr(oneOf(...interfaceTypes), { required: true }),
      managed: attr(yesNo),
      trustGuestRxFilters: attr(yesNo),
      source: one(source),
      virtualport: one(virtualport),
    }),
    { status: true },
  ),
  vlan: one(
    element('vlan', {
      trunk: attr(yesNo),
      tags: many(
        element('tag', {
          id: attr(int({ min: 0, max: 4095 }), { required: true }),
          nativeMode: attr(oneOf('tagged', 'untagged')),
        }),
      ),
    }),
  ),
  virtualport: one(virtualport),
  bandwidth: one(element('bandwidth', { inbound: one(rate('inbound')), outbound: one(rate('outbound')) })),
  port: one(element('port', { isolated: attr(yesNo) })),
  ips: many(guestAddress),
  routes: many(guestRoute),
  portForwards: many(portForward),
  backenddomain: one(element('backenddomain', { name: attr(string) })),
  script: one(element('script', { path: attr(string) })),
  downscript: one(element('downscript', { path: attr(string) })),
  target: one(
    element('target', {
      dev: attr(string, { live: (dev) => generatedTarget.test(dev) }),
      managed: attr(yesNo),
    }),
  ),
  guest: one(element('guest', { dev: attr(string), actual: attr(string, { live: true }) })),
  model: one(element('model', { type: attr(string) })),
  driver: one(driver),
  backend: one(
    element('backend', {
      type: attr(oneOf('default', 'passt')),
      tap: attr(string),
      vhost: attr(string),
      logFile: attr(string),
    }),
  ),
  filterref: one(
    element('filterref', {
      filter: attr(string, { required: true }),
      parameters: many(
        element('parameter', { name: attr(string, { required: true }), value: attr(string, { required: true }) }),
      ),
    }),
  ),
  link: one(element('link', { state: attr(oneOf('up', 'down')) })),
  tune: one(element('tune', { sndbuf: leaf(ulong) })),
  mtu: one(element('mtu', { size: attr(uint) })),
  coalesce: one(
    element('coalesce', {
      rx: one(element('rx', { frames: one(element('frames', { max: attr(uint, { omit: 0 }) })) })),
    }),
  ),
  teaming: one(element('teaming', { type: attr(oneOf('persistent', 'transient')), persistent: attr(string) })),
  ...romInfo,
};
export type Interface = Model<typeof fields>;

const filtered: readonly string[] = ['network', 'bridge', 'ethernet'];

export const networkInterface = element('interface', fields, {
  refine: (model: Interface) => {
    // What only virtio cards have means nothing on others, and filters only where the host sees the traffic.
    const isVirtio = model.model?.type?.toLowerCase().startsWith('virtio') ?? false;
    const keepsDriver = model.type === 'hostdev' ? /^(kvm|vfio|xen)$/.test(model.driver?.name ?? '') : isVirtio;
    if (!keepsDriver) delete model.driver;
    if (!isVirtio && model.backend) delete model.backend.vhost;
    if (!filtered.includes(model.type)) delete model.filterref;
    if (model.mac?.address === '00:00:00:00:00:00') delete model.mac;
  },
});
