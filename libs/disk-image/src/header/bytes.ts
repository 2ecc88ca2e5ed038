/** Bounded access to the bytes of a header: one window is read at once, the little that lies outside on demand. */
import { VirtError } from '@virtbus/shared';
import type { ImageReader } from '../reader';
import type { HeaderBytes } from './types';

/** Enough for the header, extensions and names that programs really write. */
const windowLength = 2048;
/** No field of any header is longer. */
const longestField = 65536;
/** QEMU's and libvirt's longest name of a file. */
const longestName = 1023;

/** @param image its name, for messages */
export function headerBytes(reader: ImageReader, image: string): HeaderBytes {
  let window: Promise<Buffer> | undefined;
  const refuse = (detail: string): never => {
    throw new VirtError('IMAGE_INVALID', { image, detail });
  };
  const upTo = async (offset: number, length: number): Promise<Buffer> => {
    const wanted = Math.max(0, Math.min(length, longestField, reader.size - offset));
    if (wanted === 0) return Buffer.alloc(0);
    if (offset + wanted > windowLength) return view(await reader.read(offset, wanted));
    window ??= reader.read(0, Math.min(windowLength, reader.size)).then(view);
    return (await window).subarray(offset, offset + wanted);
  };
  return {
    size: reader.size,
    upTo,
    refuse,
    async take(offset, length, what) {
      if (length > longestField) refuse(`${what} is ${length} bytes long`);
      const end = BigInt(offset) + BigInt(length);
      const bytes = end > BigInt(reader.size) ? undefined : await upTo(Number(offset), length);
      if (bytes === undefined || bytes.length < length) {
        return refuse(`${what} lies at byte ${offset}, beyond the end of the image at ${reader.size}`);
      }
      return bytes;
    },
  };
}

const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A name out of a header: at most 1023 bytes of UTF-8 without control characters. What QEMU would cut off at a zero byte, and what
 * we could not write down exactly, is refused.
 */
export async function takeName(
  bytes: HeaderBytes,
  offset: number | bigint,
  length: number,
  what: string,
): Promise<string> {
  if (length > longestName) bytes.refuse(`${what} is ${length} bytes long, more than ${longestName}`);
  return nameOf(await bytes.take(offset, length, what), what, bytes);
}

export function nameOf(raw: Uint8Array, what: string, bytes: HeaderBytes): string {
  let name: string;
  try {
    name = utf8.decode(raw);
  } catch {
    return bytes.refuse(`${what} is not UTF-8`);
  }

  if (/[\u0000-\u001f\u007f]/.test(name)) return bytes.refuse(`${what} holds control characters`);
  return name;
}
