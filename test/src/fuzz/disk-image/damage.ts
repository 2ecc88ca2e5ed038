/** Damage that knows where the fields of headers are: numbers that are nearly right get further than noise. */
import { mutateBytes } from '../bytes';
import type { Random } from '../random';

/** Offsets of numbers in the headers of qcow2 (its bitmaps at the end), qcow, qed, vmdk, vdi, vpc and parallels. */
const fields32 = [4, 8, 12, 16, 20, 28, 32, 36, 44, 56, 60, 64, 68, 96, 100, 104, 112, 116, 128, 132, 376, 512];
const fields64 = [8, 12, 16, 24, 28, 36, 40, 48, 64, 72, 80, 88, 104, 368, 520, 528];
const small = [0, 1, 2, 3, 4, 7, 8, 9, 16, 21, 22, 63, 64, 72, 104, 112, 512, 528, 1023, 1024, 65536];

export function damageHeader(header: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  if (random.chance(0.4)) return mutateBytes(header, other, random);
  const bytes = Buffer.from(header);
  for (let left = 1 + random.below(3); left > 0; left--) {
    const wide = random.chance(0.4);
    const at = random.pick(wide ? fields64 : fields32);
    if (at + 8 > bytes.length) continue;
    const value = random.chance(0.7) ? random.pick(small) : random.below(0x1_0000_0000);
    const swapped = random.chance(0.3);
    if (wide) bytes[swapped ? 'writeBigUInt64LE' : 'writeBigUInt64BE'](BigInt(value), at);
    else bytes[swapped ? 'writeUInt32LE' : 'writeUInt32BE'](value, at);
  }
  return bytes;
}
