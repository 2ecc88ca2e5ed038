/**
 * A disk's images between libvirt's words and the chain document: what the document gives, and what a known chain adds to
 * it. (facts: backing-chains-xml §1–3)
 */
import { VirtError, type ImageFormat, type ChainDocument, type ChainLayer, type Location } from '@virtbus/shared';
import type { Disk } from './elements/disk';
import type { BackingStore, StorageHost, StorageSource, StorageType } from './elements/storage-source';
import { emptySource, isEmptyDrive } from './qemu/block-chain';

export { isEmptyDrive };
import { copyModel } from './schema';

/** An image that the document names. */
export interface GivenImage {
  location: Location;
  /** Absent: not given. */
  format?: ImageFormat | undefined;
  dataFile?: Location | undefined;
}

/** What a document says of a disk's images. */
export interface GivenChain {
  /** From the active layer down; never none. */
  images: [GivenImage, ...GivenImage[]];
  /** The document says that nothing lies below the last of them. */
  ended: boolean;
}

/** Undefined for a drive without a medium. Throws for a volume that has not been resolved to where it lies. */
export function givenChain(disk: Disk): GivenChain | undefined {
  if (isEmptyDrive(disk) || !disk.source) return undefined;
  const top = { location: locationOf(disk.type, disk.source), format: disk.driver?.type, ...dataFileOf(disk.source) };
  const images: GivenChain['images'] = [top];
  let store = disk.backingStore;
  while (store?.type !== undefined && store.source) {
    images.push({
      location: locationOf(store.type, store.source),
      format: store.format?.type,
      ...dataFileOf(store.source),
    });
    store = store.backingStore;
  }
  return { images, ended: store !== undefined };
}

function dataFileOf({ dataStore }: StorageSource): Pick<GivenImage, 'dataFile'> {
  return dataStore?.source ? { dataFile: locationOf(dataStore.type, dataStore.source) } : {};
}

/**
 * A copy of the disk that shows the whole chain: what the document left open is filled in, and its end is marked. A volume
 * becomes the file or device that it is; its pool and name stay in the source, so that the definition is found to be about the
 * same image later.
 */
export function withChain(disk: Disk, { layers }: ChainDocument): Disk {
  const shown = copyModel(disk);
  if (disk.type === 'volume') {
    const { type, source } = sourceOf(layers[0]!.location);
    const { pool, volume, index } = disk.source ?? {};
    Object.assign(shown, { type, source: { ...source, ...defined({ pool, volume, index }) } });
    shown.driver = { ...shown.driver, type: formatWord(layers[0]!.format) };
  }
  let above: Pick<BackingStore, 'source' | 'backingStore'> = shown;
  fillDataStore(shown.source, layers[0]!);
  for (const layer of layers.slice(1)) {
    if (above.backingStore?.type === undefined) above.backingStore = storeOf(layer);
    above = above.backingStore;
    fillDataStore(above.source, layer);
  }
  above.backingStore ??= {};
  return shown;
}

function storeOf(layer: ChainLayer): BackingStore {
  const { type, source } = sourceOf(layer.location);
  return { type, source, format: { type: formatWord(layer.format) } };
}

/** `iso` and `vhdx` have no word of their own for QEMU's drivers: an iso image is raw. */
function formatWord(format: ImageFormat): NonNullable<BackingStore['format']>['type'] {
  return format === 'iso' ? 'raw' : format === 'vhdx' ? 'vhd' : format;
}

function fillDataStore(source: StorageSource | undefined, { dataFile }: ChainLayer): void {
  if (source && dataFile && !source.dataStore)
    source.dataStore = { ...sourceOf(dataFile.location), format: { type: 'raw' } };
}

type Slice = { offset: number; size: number } | undefined;

/** Throws `INTERNAL_ERROR` for a volume: where it lies is its pool's to say. */
function locationOf(type: StorageType, source: StorageSource): Location {
  const found = source.slices?.slices[0];
  const slice: { slice?: NonNullable<Slice> } = found
    ? { slice: { offset: Number(found.offset), size: Number(found.size) } }
    : {};
  switch (type) {
    case 'file':
      return { type, path: source.file ?? '', ...slice };
    case 'block':
      return { type, path: source.dev ?? '', ...slice };
    case 'dir':
      return { type, path: source.dir ?? '' };
    case 'network':
      return { ...networkOf(source), ...slice };
    case 'nvme': {
      const { domain = 0, bus = 0, slot = 0, function: fn = 0 } = source.address ?? {};
      const managed = source.managed === undefined ? {} : { managed: source.managed };
      return {
        type,
        address: { domain, bus, slot, function: fn },
        namespace: Number(source.namespace ?? 1),
        ...managed,
      };
    }
    case 'vhostuser':
      return { type, socket: source.path ?? '' };
    case 'vhostvdpa':
      return { type, path: source.dev ?? '' };
    case 'volume':
      throw new VirtError('INTERNAL_ERROR', { detail: `volume '${source.volume}' was not resolved to where it lies` });
  }
}

type Network = Extract<Location, { type: 'network' }>;

function networkOf(source: StorageSource): Network {
  const { protocol, name, query, snapshot, config, ssl, cookies, readahead, timeout, reconnect, identity } = source;
  return {
    type: 'network',
    protocol: protocol ?? 'nbd',
    hosts: source.hosts.map(hostOf),
    ...defined({
      name,
      query,
      snapshot: snapshot?.name,
      config: config?.file,
      sslVerify: ssl?.verify,
      cookies: cookies?.cookies.map((cookie) => ({ name: cookie.name, value: cookie.value ?? '' })),
      readahead: readahead?.size === undefined ? undefined : Number(readahead.size),
      timeout: timeout?.seconds === undefined ? undefined : Number(timeout.seconds),
      reconnectDelay: reconnect?.delay,
      user: identity?.user ?? identity?.username,
      group: identity?.group,
    }),
  };
}

function hostOf({ transport, name, port, socket }: StorageHost): Network['hosts'][number] {
  if (transport === 'unix') return { transport, socket: socket ?? '' };
  return { transport: transport ?? 'tcp', name: name ?? '', ...defined({ port }) };
}

/** Libvirt's words for a location. */
function sourceOf(location: Location): { type: StorageType; source: StorageSource } {
  const { type } = location;
  const source = emptySource();
  switch (location.type) {
    case 'file':
      source.file = location.path;
      break;
    case 'block':
    case 'vhostvdpa':
      source.dev = location.path;
      break;
    case 'dir':
      source.dir = location.path;
      break;
    case 'network':
      fillNetwork(source, location);
      break;
    case 'nvme':
      Object.assign(source, { address: { ...location.address }, namespace: location.namespace });
      Object.assign(source, defined({ type: 'pci', managed: location.managed }));
      break;
    case 'vhostuser':
      Object.assign(source, { type: 'unix', path: location.socket });
  }
  const slice = 'slice' in location ? location.slice : undefined;
  if (slice) Object.assign(source, { slices: { slices: [{ type: 'storage', ...slice }] } });
  return { type, source };
}

function fillNetwork(source: StorageSource, location: Network): void {
  const { protocol, name, query, snapshot, config, sslVerify, cookies, readahead, timeout, reconnectDelay } = location;
  const { user, group } = location;
  const nfs = protocol === 'nfs';
  Object.assign(source, {
    protocol,
    hosts: location.hosts.map((host) => (host.transport === 'unix' ? host : { ...host })),
    ...defined({
      name,
      query,
      snapshot: snapshot === undefined ? undefined : { name: snapshot },
      config: config === undefined ? undefined : { file: config },
      ssl: sslVerify === undefined ? undefined : { verify: sslVerify },
      cookies: cookies && { cookies },
      readahead: readahead === undefined ? undefined : { size: readahead },
      timeout: timeout === undefined ? undefined : { seconds: timeout },
      reconnect: reconnectDelay === undefined ? undefined : { delay: reconnectDelay },
      identity:
        user === undefined && group === undefined ? undefined : nfs ? defined({ user, group }) : { username: user },
    }),
  });
}

/** Without the fields that are undefined. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
