/** A cookie as it travels: the document in UTF-8 and a NUL, which counts. No bytes at all is a cookie that says nothing. */
import { VirtError } from '@virtbus/shared';

/** The most that a peer takes, bytes: libvirt of today, and of the beginning. */
export const cookieLimits = { today: 4_194_304, old: 16_384 } as const;

const utf8 = { encode: new TextEncoder(), decode: new TextDecoder('utf-8', { fatal: true }) };

export function toWire(xml: string, limit: number = cookieLimits.today): Uint8Array {
  const text = utf8.encode.encode(xml);
  checkSize(text.length + 1, limit);
  const bytes = new Uint8Array(text.length + 1);
  bytes.set(text);
  return bytes;
}

/** Undefined for a cookie that says nothing. Throws `COOKIE_INVALID`, `MESSAGE_TOO_LARGE`. */
export function fromWire(bytes: Uint8Array, limit: number = cookieLimits.today): string | undefined {
  if (bytes.length === 0) return undefined;
  checkSize(bytes.length, limit);
  if (bytes.at(-1) !== 0) throw invalid('Migration cookie was not NULL terminated');
  try {
    return utf8.decode.decode(bytes.subarray(0, -1));
  } catch (cause) {
    throw invalid('Migration cookie is not UTF-8', cause);
  }
}

export const invalid = (detail: string, cause?: unknown): VirtError<'COOKIE_INVALID'> =>
  new VirtError('COOKIE_INVALID', { detail }, { cause });

function checkSize(size: number, limit: number): void {
  if (size <= limit) return;
  throw new VirtError('MESSAGE_TOO_LARGE', { detail: `a migration cookie of ${size} bytes; the peer takes ${limit}` });
}
