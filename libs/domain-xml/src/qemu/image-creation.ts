/**
 * Options of `blockdev-create` for a new image: the storage that it lies in, where QEMU can make that, and its format.
 * Strings that name a backing image are written by `@virtbus/disk-image`; they only pass through here.
 */
import type { NodeImage } from '../block/bitmaps';
import type { Disk } from '../elements/disk';
import { imageAt } from './image-nodes';
import type { Image } from './block-chain';
import { isEncryptedHere, layersOf, type Layers } from './block-layers';
import { encryptionSecret } from './block-secrets';
import { unsupported, type Guest } from './context';
import { props, type LooseProps, type Props } from './props';
import { protocolProps } from './storage-protocols';

export interface CreationChoices {
  /** What the guest will see, bytes. */
  readonly capacity: number;
  /** Length of the storage to be made, bytes; 0 when left out. */
  readonly physical?: number;
  /** What the header is to name below. */
  readonly backing?: { readonly string: string; readonly format: string };
  /** Bytes. */
  readonly clusterSize?: number | undefined;
  /** Version of qcow2. */
  readonly compat?: '0.10' | '1.1' | undefined;
  readonly extendedL2?: boolean | undefined;
}

/** A new image like one that QEMU has open: an overlay keeps the geometry of what it stands on. */
export const likenessOf = ({ capacity, clusterSize, qcow2v2, extendedL2 }: NodeImage): CreationChoices => ({
  capacity,
  clusterSize,
  compat: qcow2v2 ? '0.10' : undefined,
  extendedL2,
});

export interface ImageCreation {
  /** Undefined: the storage has to be there. */
  readonly protocol: Props | undefined;
  /** Undefined: the format is no more than its bytes. */
  readonly format: Props | undefined;
}

/** Throws `CONFIG_UNSUPPORTED` for a format that QEMU does not write. */
export function imageCreation(guest: Guest, disk: Disk, depth: number, choices: CreationChoices): ImageCreation {
  const image = imageAt(disk, depth);
  const layers = layersOf(guest, image);
  const format = formatOptions(image, layers, choices);
  return {
    protocol: protocolOptions(guest, image, layers, choices),
    format: format && props(format, { file: layers.slice ?? layers.storage, size: choices.capacity }),
  };
}

/** The name of a format in the header of an image that stands on it. */
function headerFormat(image: Pick<Image, 'format' | 'encryption'>): string {
  return isEncryptedHere(image) && image.format === 'raw' ? 'luks' : qemuName(image.format);
}

/** The same for the disk's image at this depth. */
export const headerFormatAt = (disk: Disk, depth: number): string => headerFormat(imageAt(disk, depth));

const creatable = new Set(['gluster', 'rbd', 'sheepdog', 'ssh']);

function protocolOptions(
  guest: Guest,
  image: Image,
  layers: Layers,
  { physical = 0 }: CreationChoices,
): Props | undefined {
  if (image.type === 'file') return props({ driver: 'file', filename: image.source.file, size: physical });
  if (image.type !== 'network' || !creatable.has(image.source.protocol ?? '')) return undefined;
  const { driver, debug: _, ...location } = props(protocolProps(guest, image, layers));
  return props({ driver, location, size: physical });
}

function formatOptions(image: Image, layers: Layers, choices: CreationChoices): LooseProps | undefined {
  const { backing, clusterSize, compat, extendedL2 } = choices;
  const below = { 'backing-file': backing?.string, 'backing-fmt': backing?.format };
  const encrypted = isEncryptedHere(image);
  switch (image.format) {
    case 'raw':
    case 'iso':
      return encrypted ? { driver: 'luks', ...luksOptions(image, layers) } : undefined;
    case 'qcow2':
      return {
        driver: 'qcow2',
        version: compat === undefined ? undefined : compat === '0.10' ? 'v2' : 'v3',
        ...below,
        'cluster-size': clusterSize,
        'extended-l2': extendedL2 === true ? true : undefined,
        encrypt: encrypted ? { format: 'luks', ...luksOptions(image, layers) } : undefined,
      };
    case 'qcow':
      return { driver: 'qcow', 'backing-file': backing?.string };
    case 'qed':
      return { driver: 'qed', ...below, 'cluster-size': clusterSize };
    case 'vmdk':
      return { driver: 'vmdk', 'backing-file': backing?.string };
    case 'vdi':
    case 'vpc':
    case 'vhd':
    case 'ploop':
      return { driver: qemuName(image.format), 'cluster-size': image.format === 'ploop' ? clusterSize : undefined };
    default:
      return unsupported(`images of format '${image.format}' cannot be made`);
  }
}

const qemuName = (format: string): string =>
  format === 'vhd' ? 'vpc' : format === 'ploop' ? 'parallels' : format === 'iso' ? 'raw' : format;

function luksOptions({ encryption }: Image, layers: Layers): Props {
  const { cipher, ivgen } = encryption ?? {};
  return props({
    'key-secret': encryptionSecret(layers),
    'cipher-alg': cipher && `${cipher.name}-${cipher.size ?? 256}`,
    'cipher-mode': cipher?.mode,
    'hash-alg': cipher?.hash,
    'ivgen-alg': ivgen?.name,
    'ivgen-hash-alg': ivgen?.hash,
  });
}
