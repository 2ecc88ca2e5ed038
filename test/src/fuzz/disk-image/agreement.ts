/**
 * Holds what we read against what QEMU reads.
 *
 * Only images that we accept come here. We mean to be stricter than QEMU: names that are no UTF-8 or hold control characters, tables
 * beyond the end of the file, parents in vdi, vpc and vhdx, and what has the declared format's magic in no place are refused.
 */
import type { ImageHeader } from '@virtbus/disk-image';
import { Qemu, type Opinion } from './qemu';
import type { SparseImage } from './sparse';

const drivers: Partial<Readonly<Record<string, string>>> = { ploop: 'parallels', iso: 'raw' };
/** QEMU has no driver for these, or computes the size from the data. */
const incomparable = new Set(['cow', 'dmg']);

let qemu: Qemu | undefined | null = null;

/** One word for the outcome. @throws Error when QEMU reads something else */
export async function agree(image: SparseImage, header: ImageHeader): Promise<string> {
  if (qemu === null || qemu?.state === 'gone') qemu = Qemu.start();
  if (qemu?.state !== 'running' || incomparable.has(header.format) || header.encryption || header.dataFile)
    return 'accepted';
  if (header.format === 'ploop' && hasParallelsExtension(image)) return 'accepted';
  const answer = await qemu.open(image, drivers[header.format] ?? header.format);
  // It looks at tables and data, too.
  if ('refusal' in answer) return `accepted, QEMU refuses ${header.format}`;
  const ours = comparable(header);
  const theirs = answer.opinion;
  if (JSON.stringify(ours) !== JSON.stringify({ ...theirs, format: ours.format })) {
    throw new Error(`we read ${JSON.stringify(ours)}, QEMU reads ${JSON.stringify(theirs)}`);
  }
  return 'accepted, as QEMU does';
}

/** An offset that QEMU 7.2 trusts: it ends with a failed assertion at some. */
const hasParallelsExtension = ({ pieces }: SparseImage): boolean =>
  pieces.some(({ at, bytes }) => bytes.subarray(Math.max(0, 56 - at), Math.max(0, 64 - at)).some((byte) => byte !== 0));

function comparable({ format, capacity, backing }: ImageHeader): Opinion {
  return {
    format,
    size: Number(inSectors(format, capacity)),
    backing: backing?.string,
    // A vmdk image stands on vmdk images only, so QEMU says, though nothing is recorded.
    backingFormat: format === 'vmdk' && backing ? 'vmdk' : (backing?.formatText ?? backing?.format),
  };
}

/** QEMU counts in sectors: a raw file is rounded up, a size in a header down. */
const inSectors = (format: string, bytes: bigint): bigint =>
  ((bytes + (format === 'raw' || format === 'iso' ? 511n : 0n)) / 512n) * 512n;
