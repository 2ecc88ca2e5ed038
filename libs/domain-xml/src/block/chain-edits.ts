/**
 * What block operations do to a disk's chain in the live document. Each is a function from disk to disk: numbers of images stay
 * with their images. (facts: backing-chains-xml §8)
 *
 * An image is told by its depth: 0 is the active layer.
 */
import { VirtError } from '@virtbus/shared';
import type { Disk } from '../elements/disk';
import { diskImages, isChainEnded, nested, storeImages, withImages, type DiskImage } from './images';
import { copyModel } from '../schema';

/** A snapshot: the disk stands on a new image, which stands on all that it stood on. */
export const withOverlay = (disk: Disk, overlay: DiskImage): Disk =>
  withImages(disk, [overlay, ...diskImages(disk)], isChainEnded(disk));

/**
 * A pull or a commit: the images from depth `first` down to the one above `base` are gone. A commit of the active layer has
 * `first` 0: its base becomes the disk's image.
 * @param base depth of the first image that stays; undefined: nothing stays below `first`, and the chain ends there
 */
export function withoutLayers(disk: Disk, first: number, base: number | undefined): Disk {
  const images = diskImages(disk);
  const below = base === undefined ? [] : images.slice(base);
  return withImages(disk, [...images.slice(0, first), ...below], base === undefined || isChainEnded(disk));
}

/** What a mirror is told with. */
export interface MirrorView {
  readonly image: DiskImage;
  readonly job: 'copy' | 'active-commit';
  readonly ready?: 'yes' | 'abort' | 'pivot' | undefined;
  /** Images that it stands on by itself, top first. None and not ended: a shallow copy, which takes over what the disk has below. */
  readonly below?: readonly DiskImage[];
  readonly ended?: boolean;
}

/** A copy of the disk that shows a job whose end may switch it to another image. */
export function withMirror(disk: Disk, { image, job, ready, below = [], ended = false }: MirrorView): Disk {
  const copy = copyModel(disk);
  const { type, source, format } = copyModel(image);
  const store = nested(copyModel([...below]), ended);
  const formatName = format?.type ?? 'raw';
  copy.mirror = {
    type,
    ...(type === 'file' && job === 'copy' && { file: source.file, format: formatName }),
    job,
    ...(ready && { ready }),
    formatElement: format ?? { type: formatName },
    source,
    ...(store && { backingStore: store }),
  };
  return copy;
}

/** A copy of the disk whose mirror is in another phase. */
export function withMirrorReady(disk: Disk, ready: MirrorView['ready']): Disk {
  const copy = copyModel(disk);
  if (copy.mirror) copy.mirror = { ...copy.mirror, ready };
  return copy;
}

export function withoutMirror(disk: Disk): Disk {
  const copy = copyModel(disk);
  delete copy.mirror;
  return copy;
}

/**
 * The disk once its job has switched it to the mirror. Throws `INTERNAL_ERROR` when it has none, or one that is to be committed
 * into and is not in its chain.
 */
export function afterPivot(disk: Disk): Disk {
  const { mirror } = disk;
  const told = (detail: string) => new VirtError('INTERNAL_ERROR', { detail });
  if (mirror?.type === undefined || mirror.source === undefined)
    throw told(`disk '${disk.target.dev ?? ''}' has no mirror to switch to`);
  const plain = withoutMirror(disk);
  const images = diskImages(disk);
  if (mirror.job === 'active-commit') {
    const base = images.findIndex(({ source }) => source.index === mirror.source?.index);
    if (base < 1) throw told(`the mirror of disk '${disk.target.dev ?? ''}' is not in its chain`);
    return withoutLayers(plain, 0, base);
  }
  const { type, source, formatElement } = mirror;
  const top: DiskImage = copyModel({ type, source, ...(formatElement && { format: formatElement }) });
  const own = storeImages(mirror.backingStore);
  if (mirror.backingStore === undefined) return withImages(plain, [top, ...images.slice(1)], isChainEnded(disk));
  return withImages(plain, [top, ...own], isChainEnded({ ...plain, backingStore: mirror.backingStore }));
}
