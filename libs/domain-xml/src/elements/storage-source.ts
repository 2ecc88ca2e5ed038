/** Where the bytes of a disk image, of firmware variables or of a backing file come from. */
import {
  element,
  attr,
  leaf,
  one,
  many,
  later,
  text,
  oneOf,
  string,
  anyString,
  yesNo,
  uint,
  ulong,
  int,
  positive,
  bytes,
  uuid,
  type Element,
  type Model,
  type ModelOf,
  type ReadContext,
} from '../schema';
import { deviceSeclabel, pciLocation } from './device-info';
import { imagePrivateData } from './private-data';

export const storageTypes = ['file', 'block', 'dir', 'network', 'volume', 'nvme', 'vhostuser', 'vhostvdpa'] as const;
export const storageType = oneOf(...storageTypes);

/** Formats of disk images, as documents name them. */
export const imageFormats = [
  'raw',
  'dir',
  'bochs',
  'cloop',
  'dmg',
  'iso',
  'vpc',
  'vdi',
  'fat',
  'vhd',
  'ploop',
  'cow',
  'qcow',
  'qcow2',
  'qed',
  'vmdk',
] as const;
/** An image's format; the historical `aio` is raw. */
export const imageFormat = {
  ...oneOf(...imageFormats),
  parse: (raw: string) => oneOf(...imageFormats).parse(raw === 'aio' ? 'raw' : raw),
};

const secret = element('secret', { type: attr(string), usage: attr(string), uuid: attr(uuid) });

/** Who we are to a storage server; the secret itself is kept elsewhere. */
export const auth = element('auth', {
  username: attr(string, { required: true }),
  secret: one(secret, { required: true }),
});

/** How a new image is to be encrypted. */
export const cipher = {
  cipher: one(
    element('cipher', {
      name: attr(string, { required: "missing 'name' attribute of the cipher" }),
      size: attr(uint, { required: 'cipher size is missing' }),
      mode: attr(string),
      hash: attr(string),
    }),
  ),
  ivgen: one(element('ivgen', { name: attr(string, { required: true }), hash: attr(string) })),
};

export const encryption = element('encryption', {
  format: attr(oneOf('default', 'qcow', 'luks', 'luks2', 'luks-any'), { required: true }),
  engine: attr(oneOf('qemu', 'librbd'), { default: 'qemu' }),
  secret: many(
    element('secret', { type: attr(oneOf('passphrase'), { required: true }), uuid: attr(uuid), usage: attr(string) }),
  ),
  ...cipher,
});

const host = element('host', {
  name: attr(string),
  port: attr(int({ min: 0, max: 65535 })),
  transport: attr(oneOf('tcp', 'unix', 'rdma'), { omit: 'tcp', default: 'tcp' }),
  socket: attr(string),
});
export type StorageHost = ModelOf<typeof host>;

export const reconnect = element('reconnect', { enabled: attr(yesNo), timeout: attr(uint), delay: attr(uint) });

export const metadataCache = element('metadata_cache', { max_size: leaf(bytes) });

export const format = element('format', {
  type: attr(imageFormat, {
    required: 'missing disk backing store format',
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown storage source format '${raw}'`],
  }),
  metadata_cache: one(metadataCache),
});

const reservations = element('reservations', {
  managed: attr(yesNo),
  source: one(
    element('source', { type: attr(oneOf('unix')), path: attr(string), mode: attr(oneOf('client', 'server')) }),
  ),
});

const slice = element('slice', {
  type: attr(oneOf('storage'), { required: true }),
  offset: attr(ulong, { required: 'missing offset or size attribute of slice' }),
  size: attr(ulong, { required: 'missing offset or size attribute of slice' }),
});

const dataStore: Element<DataStore> = element('dataStore', {
  type: attr(storageType, { required: true }),
  format: one(format, { required: 'missing data file store format' }),
  source: later((): Element<StorageSource> => storageSource),
});
export interface DataStore {
  type: StorageType;
  format: ModelOf<typeof format>;
  source?: StorageSource | undefined;
}

export const sourceFields = {
  file: attr(string),
  fdgroup: attr(string),
  dev: attr(string),
  dir: attr(string),
  type: attr(string),
  path: attr(string),
  managed: attr(yesNo),
  namespace: attr(ulong),
  protocol: attr(
    oneOf('nbd', 'rbd', 'sheepdog', 'gluster', 'iscsi', 'http', 'https', 'ftp', 'ftps', 'tftp', 'ssh', 'vxhs', 'nfs'),
    { refuse: ['XML_ERROR', (raw) => `unknown protocol type '${raw}'`] },
  ),
  name: attr(string),
  query: attr(string),
  tls: attr(yesNo),
  tlsFromConfig: attr(uint, { status: true }),
  tlsHostname: attr(string),
  pool: attr(string),
  volume: attr(string),
  mode: attr(oneOf('host', 'direct')),
  startupPolicy: attr(oneOf('mandatory', 'requisite', 'optional')),
  /** What a volume of a pool turned out to be, and where. */
  actualType: attr(storageType, { status: true }),
  actualFile: attr(string, { name: 'file', status: true }),
  actualDev: attr(string, { name: 'dev', status: true }),
  index: attr(positive, { live: 'input', refuse: ['XML_ERROR', (raw) => `invalid storage source index '${raw}'`] }),
  hosts: many(host),
  snapshot: one(element('snapshot', { name: attr(string) })),
  config: one(element('config', { file: attr(string) })),
  initiator: one(element('initiator', { iqn: one(element('iqn', { name: attr(string) })) })),
  ssl: one(element('ssl', { verify: attr(yesNo) })),
  cookies: one(
    element('cookies', {
      cookies: many(element('cookie', { name: attr(string, { required: true }), value: text(anyString) })),
    }),
    { secret: true },
  ),
  readahead: one(element('readahead', { size: attr(ulong) })),
  timeout: one(element('timeout', { seconds: attr(ulong) })),
  reconnect: one(reconnect),
  knownHosts: one(element('knownHosts', { path: attr(string) })),
  identity: one(
    element('identity', {
      user: attr(string),
      group: attr(string),
      username: attr(string),
      keyfile: attr(string),
      agentsock: attr(string),
    }),
  ),
  address: one(element('address', { type: attr(oneOf('pci')), ...pciLocation })),
  slices: one(element('slices', { slices: many(slice) })),
  seclabels: many(deviceSeclabel),
  auth: one(auth),
  encryption: one(encryption),
  reservations: one(reservations),
  privateData: one(imagePrivateData, { status: true }),
  dataStore: one(dataStore),
};

/** The `<source>` of an image; which attributes count depends on the type of the element around it. */
export const storageSource = element('source', sourceFields, {
  keepEmpty: false,
  refine: refineSource,
  shape: (source: StorageSource, { view }) =>
    view === 'inactive' ? { ...source, seclabels: labelsOf(source) } : source,
});
export type StorageSource = Model<typeof sourceFields>;
export type StorageType = (typeof storageTypes)[number];

/** Where servers listen when the document does not say; Ceph and NFS have ways of their own. */
export const storagePorts: Readonly<Record<string, number>> = {
  nbd: 10809,
  sheepdog: 7000,
  gluster: 24007,
  iscsi: 3260,
  http: 80,
  https: 443,
  ftp: 21,
  ftps: 990,
  tftp: 69,
  ssh: 22,
  vxhs: 9999,
};

/** A label that is only not set yet says nothing about a definition. */
const labelsOf = ({ seclabels }: StorageSource) => seclabels.filter(({ labelskip }) => labelskip === undefined);

function refineSource(source: StorageSource, _xml: unknown, context: ReadContext): void {
  if (source.actualType !== undefined) {
    const { file, dev } = source;
    Object.assign(source, { file: undefined, dev: undefined, actualFile: file, actualDev: dev });
  }
  if (!context.live) source.seclabels = labelsOf(source);
  const port = storagePorts[source.protocol ?? ''];
  if (port !== undefined)
    for (const host of source.hosts) if (host.transport !== 'unix' && !host.port) host.port = port;
  for (const { transport, socket, name } of source.hosts) {
    if (transport === 'unix' && socket === undefined) context.fault('XML_ERROR', 'missing socket for unix transport');
    if (transport !== 'unix' && socket !== undefined)
      context.fault('XML_ERROR', `transport '${transport}' does not support socket attribute`);
    if (transport !== 'unix' && name === undefined) context.fault('XML_ERROR', 'missing name for host');
  }
}

export interface BackingStore {
  /** Absent: the chain ends here. */
  type?: StorageType | undefined;
  index?: number | undefined;
  format?: ModelOf<typeof format> | undefined;
  source?: StorageSource | undefined;
  backingStore?: BackingStore | undefined;
}

/** The image below; an empty one says that nothing lies below. */
export const backingStore: Element<BackingStore> = element(
  'backingStore',
  {
    type: attr(storageType, { refuse: ['XML_ERROR', (raw) => `unknown storage source type '${raw}'`] }),
    index: attr(positive, { live: 'input', refuse: ['XML_ERROR', (raw) => `invalid storage source index '${raw}'`] }),
    format: one(format),
    source: one(storageSource),
    backingStore: later((): Element<BackingStore> => backingStore),
  },
  {
    keepEmpty: true,
    refine: (model: BackingStore, { line }, context) => {
      if (model.type === undefined) return;
      if (!model.format)
        context.fault('XML_ERROR', 'missing disk backing store format', { element: 'backingStore', line });
      if (!model.source)
        context.fault('XML_ERROR', 'missing disk backing store source', { element: 'backingStore', line });
    },
  },
);
