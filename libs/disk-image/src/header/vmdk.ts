/** vmdk, hosted sparse extents: the name of the image below stands in a text descriptor. */
import { nameOf } from './bytes';
import type { FormatReader } from './types';

const descriptorAt = 0x200;
const descriptorLength = 20 * 512;
const sector = 512n;

export const vmdk: FormatReader = {
  format: 'vmdk',
  matches: (start) =>
    start.length >= 8 && start.toString('latin1', 0, 4) === 'KDMV' && [1, 2, 3].includes(start.readUInt32LE(4)),
  read: async (bytes) => {
    const raw = await bytes.take(0, 72, 'the vmdk header');
    if (!vmdk.matches(raw)) bytes.refuse('it is not a vmdk image');
    const descriptor = (await bytes.upTo(descriptorAt, descriptorLength)).toString('latin1');
    const text = descriptor.slice(0, terminated(descriptor.indexOf('\0'), descriptor.length));
    const hint = /parentFileNameHint="([^"]*)"/.exec(text)?.[1];
    // QEMU skips two characters, whichever they are, and would find a name where we do not.
    if (text.search('parentFileNameHint') !== text.search(/parentFileNameHint="[^"]*"/)) {
      bytes.refuse('the backing file name is malformed');
    }
    if (hint !== undefined && hint.length > 1023) bytes.refuse(`the backing file name is ${hint.length} bytes long`);
    return {
      format: 'vmdk',
      capacity: raw.readBigUInt64LE(12) * sector,
      ...(hint && { backing: { string: nameOf(Buffer.from(hint, 'latin1'), 'the backing file name', bytes) } }),
    };
  },
};

const terminated = (at: number, otherwise: number): number => (at < 0 ? otherwise : at);
