/** The block nodes that one image becomes, by name: protocol, slice, format (facts: block-jobs §1). */
import type { Image } from './block-chain';
import { hasFlag, type Guest } from './context';

export interface Layers {
  readonly storage: string;
  /** A window into the storage. */
  readonly slice?: string;
  readonly format?: string;
  /** The topmost of them: what devices, overlays and jobs refer to. */
  readonly top: string;
}

export function layersOf(guest: Guest, image: Image): Layers {
  const storage = `${image.name}-storage`;
  const slice = image.source.slices?.slices.length ? `${image.name}-slice-sto` : undefined;
  const format = needsFormat(guest, image) ? `${image.name}-format` : undefined;
  return { storage, ...(slice && { slice }), ...(format && { format }), top: format ?? slice ?? storage };
}

/** Plain raw images do without a format node where QEMU can record `raw` in overlays all the same. */
function needsFormat(guest: Guest, image: Image): boolean {
  return (
    image.alwaysFormat === true ||
    image.format !== 'raw' ||
    isEncryptedHere(image) ||
    !hasFlag(guest, 'blockjob.backing-mask-protocol') ||
    isWritableButReadOnly(guest, image)
  );
}

/** QEMU itself decrypts the image, not its server. */
export const isEncryptedHere = ({ encryption }: Pick<Image, 'encryption'>): boolean =>
  encryption !== undefined && encryption.engine !== 'librbd';

/** The one descriptor handed in may write, the image may not: a format node is needed to say so. */
function isWritableButReadOnly({ context }: Guest, { source, readOnly }: Image): boolean {
  const group = source.fdgroup === undefined ? undefined : context.fdGroups?.get(source.fdgroup);
  return group !== undefined && group.fds.length === 1 && group.writable && readOnly;
}
