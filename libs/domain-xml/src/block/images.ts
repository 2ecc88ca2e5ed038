/**
 * A disk's images as a list, top first, and a disk made from such a list: the document nests them, edits of chains do not want
 * to. Copies go in and out; nothing is shared with the disk.
 */
import type { Disk } from '../elements/disk';
import type { BackingStore, StorageSource, StorageType } from '../elements/storage-source';
import { emptySource, isEmptyDrive } from '../qemu/block-chain';
import { copyModel } from '../schema';

/** One image without those below. Its number is in `source.index`; who opens it and how it is encrypted is in `source` too. */
export interface DiskImage {
  type: StorageType;
  source: StorageSource;
  /** Absent: the document does not say, which stands for raw. */
  format?: BackingStore['format'];
}

/** The images that the document names, top first; none for a drive without a medium. */
export function diskImages(disk: Disk): DiskImage[] {
  if (isEmptyDrive(disk)) return [];
  return [topImage(disk), ...storeImages(disk.backingStore)];
}

/** Whether the document says that nothing lies below the last image. */
export function isChainEnded(disk: Disk): boolean {
  let store = disk.backingStore;
  while (store?.type !== undefined) store = store.backingStore;
  return store !== undefined;
}

/** The images of a `<backingStore>` and all below it. */
export function storeImages(store: BackingStore | undefined): DiskImage[] {
  const images: DiskImage[] = [];
  for (let one = store; one?.type !== undefined; one = one.backingStore) {
    const { index, format, source } = copyModel({ ...one, backingStore: undefined });
    const numbered = { ...(source ?? emptySource()), ...(index !== undefined && { index }) };
    images.push({ type: one.type, source: numbered, ...(format && { format }) });
  }
  return images;
}

function topImage(disk: Disk): DiskImage {
  const { type, driver, source = emptySource(), auth, encryption } = copyModel({ ...disk, backingStore: undefined });
  const own = { ...source, ...(auth && { auth }), ...(encryption && { encryption }) };
  delete own.startupPolicy; // The disk's, not the image's.
  const format = driver?.type && { type: driver.type, metadata_cache: driver.metadata_cache };
  return { type, source: own, ...(format && { format }) };
}

/**
 * A copy of the disk that stands on these images. What belongs to the disk stays: its cache mode, whether it is read-only, its
 * start-up policy.
 * @param images top first; never none
 * @param ended nothing lies below the last of them
 */
export function withImages(disk: Disk, images: readonly DiskImage[], ended: boolean): Disk {
  const [top, ...below] = copyModel([...images]);
  const copy = copyModel(disk);
  if (top === undefined) return copy;
  const { startupPolicy } = disk.source ?? {};
  copy.type = top.type;
  copy.source = { ...top.source, ...(startupPolicy && { startupPolicy }) };
  delete copy.auth;
  delete copy.encryption;
  delete copy.driver?.metadata_cache;
  if (top.format) {
    const { type, metadata_cache } = top.format;
    copy.driver = { ...copy.driver, type, ...(metadata_cache && { metadata_cache }) };
  } else delete copy.driver?.type;
  const store = nested(below, ended);
  if (store) copy.backingStore = store;
  else delete copy.backingStore;
  return copy;
}

/** Images as the document nests them; undefined when there is nothing to say. */
export function nested(images: readonly DiskImage[], ended: boolean): BackingStore | undefined {
  return images.reduceRight<BackingStore | undefined>(
    (below, { type, source: { index, ...source }, format }) => ({
      type,
      ...(index !== undefined && { index }),
      ...(format && { format }),
      source,
      ...(below && { backingStore: below }),
    }),
    ended ? {} : undefined,
  );
}
