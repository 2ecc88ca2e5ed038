/**
 * The images of a disk as QEMU's block nodes see them: one `Image` each, from the top down, numbered.
 *
 * Numbers follow libvirt: one counter for a guest, disks from the last to the first, each chain from its top down, then the disk's
 * throttle filters. A number that is there already stays. (facts: backing-chains-xml §4)
 */
import { VirtError } from '@virtbus/shared';
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import type { BackingStore, DataStore, StorageSource, StorageType } from '../elements/storage-source';
import { copyModel } from '../schema';

export type CacheMode = NonNullable<NonNullable<Disk['driver']>['cache']>;

/** One image with all that its nodes are made from. */
export interface Image {
  /** `libvirt-N`, or `libvirt-pflashN` for firmware. */
  readonly name: string;
  readonly type: StorageType;
  readonly source: StorageSource;
  readonly format: string;
  readonly readOnly: boolean;
  readonly cache?: CacheMode | undefined;
  readonly io?: 'threads' | 'native' | 'io_uring' | undefined;
  readonly discard?: 'unmap' | 'ignore' | undefined;
  readonly detectZeroes?: 'off' | 'on' | 'unmap' | undefined;
  readonly discardNoUnref?: boolean | undefined;
  /** Bytes of the format's metadata cache. */
  readonly metadataCache?: number | undefined;
  readonly auth?: StorageSource['auth'];
  readonly encryption?: StorageSource['encryption'];
  readonly dataStore?: Image | undefined;
  /** The image below; `end` when there is none, `unknown` when nobody has looked. */
  readonly below: Image | 'end' | 'unknown';
  /** The format layer is made even where the protocol layer alone would do. */
  readonly alwaysFormat?: boolean;
  readonly isFloppy?: boolean;
  readonly isCdrom?: boolean;
}

/** Formats whose header can name an image below. */
const layered = new Set(['qcow2', 'qcow', 'qed', 'vmdk', 'cow']);
export const canHaveBacking = (format: string): boolean => layered.has(format);

/** Whether the drive has no medium. */
export function isEmptyDrive({ type, source }: Disk): boolean {
  if (source === undefined) return true;
  switch (type) {
    case 'file':
      return source.file === undefined;
    case 'block':
    case 'vhostvdpa':
      return source.dev === undefined;
    case 'dir':
      return source.dir === undefined;
    default:
      return false;
  }
}

/** The disk's images from the top down; undefined for an empty drive. The disk has to be numbered. */
export function imageOf(disk: Disk): Image | undefined {
  if (isEmptyDrive(disk) || disk.source === undefined) return undefined;
  const { driver = {}, source } = disk;
  const format = driver.type ?? 'raw';
  const inherited = {
    cache: driver.cache,
    io: driver.io,
    discard: driver.discard,
    isFloppy: disk.device === 'floppy',
  };
  const readOnly = disk.readonly === true || disk.device === 'cdrom';
  return {
    ...inherited,
    name: nameOf(source.index, disk),
    type: disk.type,
    source,
    format,
    readOnly,
    detectZeroes: effectiveDetectZeroes(driver.detect_zeroes, driver.discard),
    discardNoUnref: driver.discard_no_unref,
    metadataCache: driver.metadata_cache?.max_size,
    auth: disk.auth ?? source.auth,
    encryption: disk.encryption ?? source.encryption,
    dataStore: source.dataStore && dataImage(source.dataStore, readOnly, inherited, disk),
    below: belowOf(disk.backingStore, format, inherited, disk),
    isCdrom: disk.device === 'cdrom',
  };
}

type Inherited = Pick<Image, 'cache' | 'io' | 'discard' | 'isFloppy'>;

function belowOf(store: BackingStore | undefined, format: string, inherited: Inherited, disk: Disk): Image['below'] {
  if (store === undefined) return canHaveBacking(format) ? 'unknown' : 'end';
  const { type, source, format: declared } = store;
  if (type === undefined || source === undefined) return 'end';
  const own = declared?.type ?? 'raw';
  return {
    ...inherited,
    name: nameOf(store.index ?? source.index, disk),
    type,
    source,
    format: own,
    readOnly: true,
    metadataCache: declared?.metadata_cache?.max_size,
    auth: source.auth,
    encryption: source.encryption,
    dataStore: source.dataStore && dataImage(source.dataStore, true, inherited, disk),
    below: belowOf(store.backingStore, own, inherited, disk),
  };
}

function dataImage({ type, source, format }: DataStore, readOnly: boolean, inherited: Inherited, disk: Disk): Image {
  return {
    ...inherited,
    name: nameOf(source?.index, disk),
    type,
    source: source ?? emptySource(),
    format: format.type,
    readOnly,
    auth: source?.auth,
    encryption: source?.encryption,
    below: 'end',
  };
}

/** `unmap` only where the disk may unmap at all. */
const effectiveDetectZeroes = (detect: Image['detectZeroes'], discard: Image['discard']): Image['detectZeroes'] =>
  detect === 'unmap' && discard !== 'unmap' ? 'on' : detect;

function nameOf(index: number | undefined, disk: Disk): string {
  if (index === undefined)
    throw new VirtError('INTERNAL_ERROR', {
      detail: `an image of disk '${disk.target.dev ?? ''}' has no index: number the images before building nodes`,
    });
  return `libvirt-${index}`;
}

/** A source that names nothing yet. */
export const emptySource = (): StorageSource => ({ hosts: [], seclabels: [] });

export interface Numbered {
  readonly domain: Domain;
  /** Node numbers of each disk's throttle filters, by target. */
  readonly filters: ReadonlyMap<string, readonly number[]>;
  readonly next: number;
}

/** A copy of the domain in which every image has an index. */
export function numberImages(domain: Domain, first = 1): Numbered {
  const copy = copyModel(domain);
  let next = nextIndex(copy, first);
  const filters = new Map<string, readonly number[]>();
  for (const disk of [...copy.devices.disks].reverse()) {
    const numbered = numberInPlace(disk, next);
    filters.set(disk.target.dev ?? '', numbered.filters);
    next = numbered.next;
  }
  return { domain: copy, filters, next };
}

/** A copy of one disk, to be plugged in, in which every image has an index. */
export function numberDisk(disk: Disk, first: number): { disk: Disk; filters: readonly number[]; next: number } {
  const copy = copyModel(disk);
  return { disk: copy, ...numberInPlace(copy, first) };
}

/** A copy of the disk whose images are numbered from the first on, whatever numbers they had. */
export function renumberDisk(disk: Disk, first: number): Disk {
  const copy = copyModel(disk);
  for (const image of imagesIn(copy)) image.index = undefined;
  numberInPlace(copy, first);
  return copy;
}

function numberInPlace(disk: Disk, first: number): { filters: number[]; next: number } {
  let next = first;
  for (const image of imagesIn(disk)) image.index ??= next++;
  const filters = (disk.throttlefilters?.filters ?? []).map(() => next++);
  return { filters, next };
}

/** What carries the numbers of a disk's images, from the top down. An SD card is no block node of ours. */
function* imagesIn(disk: Disk): Generator<{ index?: number | undefined }> {
  if (isEmptyDrive(disk) || !disk.source || disk.target.bus === 'sd') return;
  yield disk.source;
  if (disk.source.dataStore?.source) yield disk.source.dataStore.source;
  for (let store = disk.backingStore; store?.type !== undefined; store = store.backingStore) {
    yield store;
    if (store.source?.dataStore?.source) yield store.source.dataStore.source;
  }
}

/**
 * The number for the next image: one above all that the guest's images have, those of mirrors included.
 * @param floor the lowest that may be given: numbers of images that are gone are not given again while the guest runs
 */
export const nextIndex = (domain: Domain, floor = 1): number => Math.max(floor, 1 + highestIndex(domain));

function highestIndex({ devices }: Domain): number {
  let highest = 0;
  const source = (one: StorageSource | undefined): void => {
    highest = Math.max(highest, one?.index ?? 0, one?.dataStore?.source?.index ?? 0);
  };
  const stores = (first: BackingStore | undefined): void => {
    for (let store = first; store; store = store.backingStore) {
      highest = Math.max(highest, store.index ?? 0);
      source(store.source);
    }
  };
  for (const disk of devices.disks) {
    source(disk.source);
    stores(disk.backingStore);
    source(disk.mirror?.source);
    stores(disk.mirror?.backingStore);
  }
  return highest;
}
