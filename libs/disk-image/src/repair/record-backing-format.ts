/**
 * The writes that record a missing backing format in a qcow2 header.
 *
 *   before   header │ extensions │ end │ name …
 *   1        the name once more, where it will not be in the way      (only when it is)
 *   2        the header points at that copy
 *   3        behind the end mark: the format and a new end mark
 *   4        the old end mark becomes the head of the extension
 *
 * Each write is to be on disk before the next. 2 and 4 lie within one sector, the others where nobody looks yet: after any of them
 * the image is what it was, or has the format.
 */
import { VirtError, type ImageFormat } from '@virtbus/shared';
import { headerBytes } from '../header/bytes';
import { readFixedHeader, qcow2 } from '../header/qcow2';
import { extension, findExtensions } from '../header/qcow2-extensions';
import type { ImageReader } from '../reader';

export interface HeaderWrite {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** QEMU's names, for the formats a layer can have. */
const qemuNames: Partial<Readonly<Record<ImageFormat, string>>> = {
  raw: 'raw',
  bochs: 'bochs',
  cloop: 'cloop',
  dmg: 'dmg',
  vpc: 'vpc',
  vdi: 'vdi',
  vhdx: 'vhdx',
  ploop: 'parallels',
  qcow: 'qcow',
  qcow2: 'qcow2',
  qed: 'qed',
  vmdk: 'vmdk',
};

/** @throws VirtError OPERATION_INVALID, IMAGE_INVALID, ARGUMENT_UNSUPPORTED */
export async function planBackingFormat(
  reader: ImageReader,
  image: string,
  format: ImageFormat,
): Promise<HeaderWrite[]> {
  const text = qemuNames[format];
  if (text === undefined) {
    throw new VirtError('ARGUMENT_UNSUPPORTED', { detail: `no layer can be recorded as '${format}'` });
  }
  const bytes = headerBytes(reader, image);
  const { backing } = await qcow2.read(bytes);
  if (!backing) impossible(image, 'it stands on no other image');
  if (backing.format !== undefined) {
    impossible(image, `it records '${backing.formatText ?? backing.format}' for '${backing.string}' already`);
  }
  const header = await readFixedHeader(bytes);
  const cluster = 1 << header.clusterBits;
  const end = (await findExtensions(header, bytes)).find(({ magic }) => magic === extension.end);
  const nameAt = Number(header.backingOffset);
  const added = extensionOf(text);
  // An end that only the name's offset marks would be none once the name has moved.
  if (!end || end.at + 8 > Math.min(nameAt, cluster)) return impossible(image, 'its header has no room for the format');
  const last = end.at + added.length + 8;
  const nameEnd = nameAt + header.backingLength;
  const moved: HeaderWrite[] = [];
  if (nameAt < last) {
    const name = await bytes.take(nameAt, header.backingLength, 'the backing file name');
    const to = Math.ceil(Math.max(last, nameEnd) / 8) * 8;
    if (to + name.length > cluster) impossible(image, 'its header has no room for the format');
    const pointer = Buffer.alloc(8);
    pointer.writeBigUInt64BE(BigInt(to));
    moved.push({ offset: to, bytes: Buffer.from(name) }, { offset: 8, bytes: pointer });
  }
  const behind = Buffer.concat([added.subarray(8), Buffer.alloc(8)]);
  return [...moved, { offset: end.at + 8, bytes: behind }, { offset: end.at, bytes: added.subarray(0, 8) }];
}

function extensionOf(text: string): Buffer {
  const bytes = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8);
  bytes.writeUInt32BE(extension.backingFormat, 0);
  bytes.writeUInt32BE(text.length, 4);
  bytes.write(text, 8, 'latin1');
  return bytes;
}

function impossible(image: string, why: string): never {
  throw new VirtError('OPERATION_INVALID', { detail: `no backing format can be recorded in '${image}': ${why}` });
}
