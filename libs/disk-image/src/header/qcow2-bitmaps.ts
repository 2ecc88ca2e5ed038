/**
 * The dirty bitmaps that a qcow2 image keeps: their directory, not their content. (qcow2 specification, "Bitmaps")
 *
 * They are only told of, so what makes no sense is told as none, and QEMU refuses what it cannot use. While QEMU has the image
 * open for writing, bitmaps stand here as they were when it opened it, marked as in use.
 */
import type { Qcow2Header } from './qcow2';
import type { ExtensionAt } from './qcow2-extensions';
import type { HeaderBytes, RecordedBitmap } from './types';

const extensionLength = 24;
/** More is not read: hundreds of bitmaps. */
const longestDirectory = 65536;
const entryLength = 24;
const inUse = 1;
const auto = 2;
/** The feature bit that says that who wrote the image last knew of its bitmaps. */
const consistent = 1n;

/** Undefined when the image keeps none that count. */
export async function readBitmaps(
  { at, length }: ExtensionAt,
  header: Qcow2Header,
  bytes: HeaderBytes,
): Promise<RecordedBitmap[] | undefined> {
  if (length !== extensionLength || (header.autoclear & consistent) === 0n) return undefined;
  const place = await bytes.take(at + 8, length, 'the place of the bitmaps');
  const [count, size, offset] = [place.readUInt32BE(0), place.readBigUInt64BE(8), place.readBigUInt64BE(16)];
  if (size > BigInt(longestDirectory) || offset + size > BigInt(bytes.size)) return undefined;
  const directory = await bytes.upTo(Number(offset), Number(size));
  const found: RecordedBitmap[] = [];
  for (let entry = 0; found.length < count && entry + entryLength <= directory.length;) {
    const flags = directory.readUInt32BE(entry + 12);
    const granularityBits = directory.readUInt8(entry + 17);
    const nameAt = entry + entryLength + directory.readUInt32BE(entry + 20);
    const nameEnd = nameAt + directory.readUInt16BE(entry + 18);
    if (granularityBits > 31 || nameEnd > directory.length) return undefined;
    found.push({
      name: directory.toString('utf8', nameAt, nameEnd),
      granularity: 2 ** granularityBits,
      recording: (flags & auto) !== 0,
      inUse: (flags & inUse) !== 0,
    });
    entry = Math.ceil(nameEnd / 8) * 8;
  }
  return found.length === count && count > 0 ? found : undefined;
}
