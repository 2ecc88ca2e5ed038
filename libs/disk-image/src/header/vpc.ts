/**
 * vpc: Virtual PC's VHD, dynamic (a copy of the footer at byte 0) or fixed (the footer in the last 512 bytes only). Big-endian.
 *
 * A guest sees the size that QEMU computes: the geometry, unless the program that made the image is known to mean the size field.
 */
import type { FormatReader, HeaderBytes } from './types';

const footerLength = 512;
const kind = { fixed: 2, dynamic: 3, differencing: 4 };
/** Programs whose images have the size in the size field. */
const exactPrograms = ['win ', 'qem2', 'd2v ', 'tap\0', 'vs  ', 'wa\0\0'];
/** The largest geometry stands for "larger". */
const largestGeometry = 65535 * 16 * 255;

const checksumAt = 64;
/** The complement of the sum of all bytes, without the checksum's own. */
const checksumOf = (footer: Buffer): number =>
  ~footer.reduce((sum, byte, at) => (at >= checksumAt && at < checksumAt + 4 ? sum : sum + byte), 0) >>> 0;

const isFooter = (bytes: Buffer): boolean =>
  bytes.length >= 16 && bytes.toString('latin1', 0, 8) === 'conectix' && bytes.readUInt32BE(12) === 0x10000;

export const vpc: FormatReader = {
  format: 'vpc',
  matches: isFooter,
  read: async (bytes) => {
    const footer = await findFooter(bytes);
    if (footer.readUInt32BE(checksumAt) !== checksumOf(footer)) bytes.refuse('the checksum of its footer is wrong');
    if (footer.readUInt32BE(60) === kind.differencing) {
      bytes.refuse('it stands on a parent image, and parents of VHD images can not be followed');
    }
    const geometry = footer.readUInt16BE(56) * footer.readUInt8(58) * footer.readUInt8(59);
    const exact = exactPrograms.includes(footer.toString('latin1', 28, 32)) || geometry === largestGeometry;
    return { format: 'vpc', capacity: exact ? footer.readBigUInt64BE(48) : BigInt(geometry) * 512n };
  },
};

async function findFooter(bytes: HeaderBytes): Promise<Buffer> {
  const copy = await bytes.take(0, footerLength, 'the VHD footer');
  if (isFooter(copy)) return copy;
  const footer = await bytes.take(bytes.size - footerLength, footerLength, 'the VHD footer');
  if (!isFooter(footer) || footer.readUInt32BE(60) !== kind.fixed) bytes.refuse('it is not a VHD image');
  return footer;
}
