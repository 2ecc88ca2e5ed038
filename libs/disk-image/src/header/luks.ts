/** LUKS version 1: an encrypted image is raw, with this in front of the data. Big-endian. */
import type { HeaderBytes, ImageHeader } from './types';

export const isLuks = (start: Buffer): boolean =>
  start.length >= 8 && start.toString('latin1', 0, 6) === 'LUKS\xba\xbe' && start.readUInt16BE(6) === 1;

/** @throws VirtError IMAGE_INVALID */
export async function readLuks(bytes: HeaderBytes): Promise<ImageHeader> {
  const raw = await bytes.take(0, 112, 'the LUKS header');
  if (!isLuks(raw)) bytes.refuse('it is not a LUKS volume of version 1');
  const payload = raw.readUInt32BE(104) * 512;
  if (payload > bytes.size) bytes.refuse(`its data begin at byte ${payload}, beyond the end of the image`);
  return { format: 'raw', capacity: BigInt(bytes.size - payload), encryption: 'luks' };
}
