/** The header extensions of qcow2: magic, length, data, padded to a multiple of 8, up to the magic 0. */
import { nameOf } from './bytes';
import type { Qcow2Header } from './qcow2';
import { readBitmaps } from './qcow2-bitmaps';
import type { HeaderBytes, RecordedBitmap } from './types';

export const extension = {
  end: 0,
  backingFormat: 0xe2792aca,
  dataFile: 0x44415441,
  encryption: 0x0537be77,
  bitmaps: 0x23852875,
} as const;

/** QEMU keeps the name of a format in 16 bytes. */
const longestFormat = 15;
const longestName = 1023;
const dataFileFeature = 4n;

export interface Extensions {
  readonly backingFormat?: string;
  readonly dataFile?: string;
  readonly encryptionHeader: boolean;
  readonly bitmaps?: readonly RecordedBitmap[];
}

/** One extension and where it stands: `at` is its magic, `next` the magic after it. */
export interface ExtensionAt {
  readonly magic: number;
  readonly at: number;
  readonly length: number;
  readonly next: number;
}

/** Offset at which extensions must have ended: the backing name, or the end of the first cluster. */
export function extensionLimit({ backingOffset, clusterBits }: Qcow2Header): number {
  return backingOffset === 0n ? 1 << clusterBits : Number(backingOffset);
}

/** Bytes that are asked for at once: all extensions of an ordinary header. */
const blockLength = 1024;

/** Every extension in its order; the last one is the end, when there is one. */
export async function findExtensions(header: Qcow2Header, bytes: HeaderBytes): Promise<ExtensionAt[]> {
  const limit = extensionLimit(header);
  const found: ExtensionAt[] = [];
  let block: Buffer = Buffer.alloc(0);
  let blockAt = 0;
  for (let at = header.headerLength; at < limit;) {
    if (at + 8 > blockAt + block.length) {
      block = await bytes.upTo(at, blockLength);
      blockAt = at;
    }
    const head = block.subarray(at - blockAt, at - blockAt + 8);
    // A file may end within its first cluster; what is not there reads as zeros.
    const magic = head.length < 4 ? extension.end : head.readUInt32BE(0);
    const length = head.length < 8 ? 0 : head.readUInt32BE(4);
    if (length > limit - at - 8) bytes.refuse(`the header extension at byte ${at} is too large`);
    const isEnd = magic === extension.end;
    const next = isEnd ? at : at + 8 + Math.ceil(length / 8) * 8;
    found.push({ magic, at, length: isEnd ? 0 : length, next });
    if (isEnd) break;
    at = next;
  }
  return found;
}

export async function readExtensions(header: Qcow2Header, bytes: HeaderBytes): Promise<Extensions> {
  const found: { backingFormat?: string; dataFile?: string; bitmaps?: readonly RecordedBitmap[] } = {};
  let encryptionHeader = false;
  const text = async ({ at, length }: ExtensionAt, longest: number, what: string): Promise<string> => {
    if (length > longest) bytes.refuse(`${what} is ${length} bytes long, more than ${longest}`);
    return nameOf(await bytes.take(at + 8, length, what), what, bytes);
  };
  for (const one of await findExtensions(header, bytes)) {
    if (one.magic === extension.backingFormat) {
      found.backingFormat = await text(one, longestFormat, 'the backing format');
    } else if (one.magic === extension.dataFile && (header.incompatible & dataFileFeature) !== 0n) {
      if (one.length === 0) bytes.refuse('invalid empty data-file definition');
      found.dataFile = await text(one, longestName, 'the name of the data file');
    } else if (one.magic === extension.encryption) {
      if (header.crypt !== 2 || one.length !== 16) bytes.refuse('its encryption header belongs to no encryption');
      encryptionHeader = true;
    } else if (one.magic === extension.bitmaps) {
      const bitmaps = await readBitmaps(one, header, bytes);
      if (bitmaps) found.bitmaps = bitmaps;
    }
  }
  return { ...found, encryptionHeader };
}
