/**
 * The one way into a header: by the format that somebody declares, or by its marks.
 *
 * Probing is for reports (a pool's refresh, an upload). A guest's image is read as what its document or its overlay says.
 */
import type { ImageFormat } from '@virtbus/shared';
import type { ImageReader } from '../reader';
import { headerBytes } from './bytes';
import { isLuks, readLuks } from './luks';
import { bochs, cloop, cow, dmg, hasDmgTrailer, hasIsoMark, ploop, vdi } from './plain-formats';
import { qcow } from './qcow';
import { qcow2 } from './qcow2';
import { qed } from './qed';
import type { FormatReader, HeaderBytes, ImageHeader } from './types';
import { vhdx } from './vhdx';
import { vmdk } from './vmdk';
import { vpc } from './vpc';

/** In libvirt's order, then what only QEMU knows. */
const readers: readonly FormatReader[] = [vpc, vdi, ploop, cow, qcow, qcow2, qed, vmdk, vhdx, bochs, cloop];
const byFormat = new Map<ImageFormat, FormatReader>([...readers, dmg].map((reader) => [reader.format, reader]));

export interface HeaderOptions {
  /** The image's name, for messages. */
  readonly image: string;
  /** Declared by somebody; without it the image is probed. */
  readonly format?: ImageFormat | undefined;
}

/**
 * What an image says of itself.
 * @throws VirtError IMAGE_INVALID when it is not what was declared, or when its header is corrupt
 */
export async function readHeader(reader: ImageReader, { image, format }: HeaderOptions): Promise<ImageHeader> {
  const bytes = headerBytes(reader, image);
  if (format === undefined) {
    const found = await probe(bytes);
    return found === 'luks' ? readLuks(bytes) : readAs(bytes, found);
  }
  return readAs(bytes, format);
}

/** The format that an image's marks show; `raw` when there are none, and for a LUKS volume. Never fails because of contents. */
export async function probeFormat(reader: ImageReader, image: string): Promise<ImageFormat> {
  const found = await probe(headerBytes(reader, image));
  return found === 'luks' ? 'raw' : found;
}

async function probe(bytes: HeaderBytes): Promise<ImageFormat | 'luks'> {
  const start = await bytes.upTo(0, 512);
  const found = readers.find((reader) => reader.matches(start));
  if (found) return found.format;
  if (isLuks(start)) return 'luks';
  if (await hasIsoMark(bytes)) return 'iso';
  return (await hasDmgTrailer(bytes)) ? 'dmg' : 'raw';
}

/** Formats without a reader have no header of their own: the file is the image. */
async function readAs(bytes: HeaderBytes, format: ImageFormat): Promise<ImageHeader> {
  return (await byFormat.get(format)?.read(bytes)) ?? { format, capacity: BigInt(bytes.size) };
}
