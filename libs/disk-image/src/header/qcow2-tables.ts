/** Whether a qcow2 header's tables can be where it says: aligned, large enough, not beyond the end of the file. */
import type { Qcow2Header } from './qcow2';
import type { HeaderBytes } from './types';

/** QEMU's limits: 32 MiB of L1 table, 8 MiB of reference count table, 65536 snapshots. */
const maxL1Entries = (32 * 1024 * 1024) / 8;
const maxRefcountBytes = 8 * 1024 * 1024;
const maxSnapshots = 65536;
/** A table still has to fit behind it, below 2^63. */
const largestOffset = 2n ** 62n;

/** @throws VirtError IMAGE_INVALID */
export function checkTables(header: Qcow2Header, bytes: HeaderBytes): void {
  const cluster = 1n << BigInt(header.clusterBits);
  const placed = (what: string, offset: bigint, used: boolean): void => {
    if (offset % cluster !== 0n) bytes.refuse(`the offset of ${what} (${offset}) is not aligned to a cluster`);
    if (used && offset >= BigInt(bytes.size))
      bytes.refuse(`${what} lies at byte ${offset}, beyond the end of the image`);
    if (offset > largestOffset) bytes.refuse(`${what} lies at byte ${offset}`);
  };
  if (header.refcountClusters === 0) bytes.refuse('it has no reference count table');
  if (BigInt(header.refcountClusters) * cluster > BigInt(maxRefcountBytes)) {
    bytes.refuse('its reference count table is too large');
  }
  placed('the reference count table', header.refcountOffset, true);
  if (header.snapshots > maxSnapshots) bytes.refuse('its snapshot table is too large');
  placed('the snapshot table', header.snapshotsOffset, header.snapshots > 0);
  checkL1(header, bytes);
  placed('the L1 table', header.l1Offset, header.l1Entries > 0);
}

function checkL1({ size, clusterBits, extendedL2, l1Entries }: Qcow2Header, bytes: HeaderBytes): void {
  if (l1Entries > maxL1Entries) bytes.refuse('its L1 table is too large');
  const entrySize = extendedL2 ? 4 : 3; // log2 of bytes
  const shift = BigInt(clusterBits + clusterBits - entrySize);
  const needed = (size + (1n << shift) - 1n) >> shift;
  if (BigInt(l1Entries) < needed) bytes.refuse(`its L1 table is too small for ${size} bytes`);
}
