/** qed: little-endian; an image below is raw when a feature bit says so, and safe to probe otherwise. */
import { takeName } from './bytes';
import type { FormatReader } from './types';

const features = { backing: 1n, needsCheck: 2n, backingIsRaw: 4n } as const;
const knownFeatures = 7n;

export const qed: FormatReader = {
  format: 'qed',
  matches: (start) => start.toString('latin1', 0, 4) === 'QED\0',
  read: async (bytes) => {
    const raw = await bytes.take(0, 64, 'the qed header');
    if (!qed.matches(raw)) bytes.refuse('it is not a qed image');
    const [clusterSize, tableSize, headerClusters] = [raw.readUInt32LE(4), raw.readUInt32LE(8), raw.readUInt32LE(12)];
    if (!isPowerOfTwo(clusterSize) || clusterSize < 4096 || clusterSize > 1 << 26) {
      bytes.refuse(`unsupported cluster size ${clusterSize}`);
    }
    if (!isPowerOfTwo(tableSize) || tableSize > 16) bytes.refuse(`unsupported table size ${tableSize}`);
    const set = raw.readBigUInt64LE(16);
    if ((set & ~knownFeatures) !== 0n)
      bytes.refuse(`unsupported qed feature(s): 0x${(set & ~knownFeatures).toString(16)}`);
    const [l1Offset, capacity] = [raw.readBigUInt64LE(40), raw.readBigUInt64LE(48)];
    const tableBytes = BigInt(tableSize) * BigInt(clusterSize);
    const headerBytes = BigInt(headerClusters) * BigInt(clusterSize);
    if (l1Offset % BigInt(clusterSize) !== 0n || l1Offset < headerBytes || l1Offset + tableBytes > BigInt(bytes.size)) {
      bytes.refuse(`the L1 table lies at byte ${l1Offset}, unaligned or beyond the end of the image`);
    }
    const entries = tableBytes / 8n;
    if (capacity % 512n !== 0n || capacity > entries * entries * BigInt(clusterSize)) {
      bytes.refuse(`its size of ${capacity} bytes is not possible`);
    }
    const header = { format: 'qed', capacity, clusterSize } as const;
    const [offset, length] = [raw.readUInt32LE(56), raw.readUInt32LE(60)];
    if ((set & features.backing) === 0n || length === 0) return header;
    if (offset + length > clusterSize * headerClusters) bytes.refuse('the backing file name leaves the header');
    const string = await takeName(bytes, offset, length, 'the backing file name');
    const isRaw = (set & features.backingIsRaw) !== 0n;
    return { ...header, backing: { string, ...(isRaw ? { format: 'raw' as const } : { safeToProbe: true as const }) } };
  },
};

const isPowerOfTwo = (number: number): boolean => number > 0 && (number & (number - 1)) === 0;
