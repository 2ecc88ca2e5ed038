/** The `<source>` of a pool: hosts, devices, folders, adapters, names, and who we are to them. */
import {
  anyString,
  attr,
  element,
  int,
  leaf,
  many,
  one,
  oneOf,
  onParent,
  string,
  uint,
  ulong,
  uuid,
  yesNo,
  type Model,
  type ModelOf,
  type ReadContext,
} from '../schema';
import { pciLocation } from '../elements/device-info';
import { typesWith, type SourcePart } from './pool-types';

const having = (part: SourcePart) => onParent('type', ...typesWith(part));

const host = element('host', { name: attr(string, { required: true }), port: attr(int({ min: 0, max: 65535 })) });

const device = element('device', {
  path: attr(string, { required: 'missing storage pool source device path' }),
  part_separator: attr(yesNo),
  freeExtents: many(
    element('freeExtent', { start: attr(ulong, { required: true }), end: attr(ulong, { required: true }) }),
    { live: 'input' },
  ),
});

const adapterFields = {
  type: attr(oneOf('scsi_host', 'fc_host'), {
    refuse: ['XML_ERROR', (raw) => `Unknown source adapter type '${raw}'`],
  }),
  name: attr(string),
  parent: attr(string),
  parent_wwnn: attr(string),
  parent_wwpn: attr(string),
  parent_fabric_wwn: attr(string),
  managed: attr(yesNo),
  wwnn: attr(string),
  wwpn: attr(string),
  parentaddr: one(
    element('parentaddr', {
      unique_id: attr(uint, { required: "Missing or invalid scsi adapter 'unique_id' value" }),
      address: one(element('address', pciLocation), { required: true }),
    }),
  ),
};
const adapter = element('adapter', adapterFields, { refine: refineAdapter });

function refineAdapter(model: Model<typeof adapterFields>, { line }: { line: number }, context: ReadContext): void {
  const { name, parentaddr, wwnn, wwpn } = model;
  const refuse = (detail: string): void => context.fault('XML_ERROR', detail, { element: 'adapter', line });
  if (model.type === undefined) {
    // Old documents name the host alone.
    if (wwnn !== undefined || wwpn !== undefined || model.parent !== undefined || name === undefined)
      return refuse("Use of 'wwnn', 'wwpn', and 'parent' attributes requires use of the adapter 'type'");
    model.type = 'scsi_host';
  }
  if (model.type === 'fc_host') {
    if (!wwnn || !wwpn) refuse("'wwnn' and 'wwpn' must be specified for adapter type 'fchost'");
  } else if (name !== undefined && parentaddr) {
    refuse("Use of 'parent' element is incompatible with 'name' attribute of the adapter");
  } else if (name === undefined && !parentaddr)
    refuse("Either 'name' or 'parent' must be specified for the 'scsi_host' adapter");
}

const auth = element('auth', {
  type: attr(oneOf('chap', 'ceph'), {
    required: 'missing auth type attribute',
    refuse: ['XML_ERROR', (raw) => `unknown auth type '${raw}'`],
  }),
  username: attr(string, { required: 'missing username for auth' }),
  secret: one(element('secret', { usage: attr(string), uuid: attr(uuid) }), {
    required: 'missing secret of auth: its uuid or usage is expected',
  }),
});

export const poolSourceFields = {
  hosts: many(host, { when: having('hosts') }),
  devices: many(device, { when: having('devices') }),
  dir: one(element('dir', { path: attr(string, { required: true }) }), { when: having('dir') }),
  adapter: one(adapter, { when: having('adapter') }),
  name: leaf(string, { when: having('name') }),
  initiator: one(
    element('initiator', { iqn: one(element('iqn', { name: attr(string, { required: true }) }), { required: true }) }),
    { when: having('initiator') },
  ),
  /** Which of them a type of pool may have is looked up by the type. */
  format: one(element('format', { type: attr(anyString, { required: true }) })),
  auth: one(auth),
  protocol: one(element('protocol', { ver: attr(string, { required: true }) }), { when: having('protocol') }),
  vendor: one(element('vendor', { name: attr(string) })),
  product: one(element('product', { name: attr(string) })),
};

export const poolSource = element('source', poolSourceFields, { keepEmpty: 'open' });
export type PoolSource = ModelOf<typeof poolSource>;
