/**
 * A new qcow2 overlay as bytes: version 3 and empty, upon an image whose format it records, laid out as QEMU lays one out.
 *
 *   header, backing format, backing name │ refcount table │ refcount block │ L1 table, all zero
 *
 * Source: QEMU's docs/interop/qcow2.txt.
 */
import { qcow2Magic } from './qcow2';
import { extension } from './qcow2-extensions';

export interface OverlayChoices {
  /** What the guest will see, bytes. */
  readonly capacity: number;
  /** Bytes. */
  readonly clusterSize?: number | undefined;
  /** What the header names below. */
  readonly backing: { readonly string: string; readonly format: string };
}

/** What a new file is to hold: zero where no piece lies. */
export interface NewImage {
  /** Bytes. */
  readonly length: number;
  readonly pieces: readonly { readonly offset: number; readonly bytes: Buffer }[];
}

const version = 3;
const headerLength = 112;
const sector = 512;
const usualClusterSize = 65536;
const smallestClusterSize = 512;
const largestClusterSize = 2 ** 21;
/** Two bytes a cluster. */
const refcountOrder = 4;
const longestName = 1023;
const longestFormat = 15;

/** Undefined where QEMU has to lay it out: a size that is not of whole sectors, a table that needs more than one block of counts. */
export function newOverlay({
  capacity,
  clusterSize = usualClusterSize,
  backing,
}: OverlayChoices): NewImage | undefined {
  const clusterBits = Math.log2(clusterSize);
  const name = Buffer.from(backing.string);
  const format = Buffer.from(backing.format);
  if (!Number.isInteger(clusterBits) || clusterSize < smallestClusterSize || clusterSize > largestClusterSize) return;
  if (capacity <= 0 || capacity % sector !== 0 || name.length > longestName || format.length > longestFormat) return;
  const l1Entries = Math.ceil(capacity / clusterSize / (clusterSize / 8));
  const clusters = 3 + Math.ceil((l1Entries * 8) / clusterSize);
  const nameAt = headerLength + 8 + padded(format.length) + 8;
  if (clusters > clusterSize / 2 || nameAt + name.length > clusterSize) return;
  const header = Buffer.alloc(nameAt + name.length);
  header.write(qcow2Magic, 0, 'latin1');
  header.writeUInt32BE(version, 4);
  header.writeBigUInt64BE(BigInt(nameAt), 8);
  header.writeUInt32BE(name.length, 16);
  header.writeUInt32BE(clusterBits, 20);
  header.writeBigUInt64BE(BigInt(capacity), 24);
  header.writeUInt32BE(l1Entries, 36);
  header.writeBigUInt64BE(BigInt(3 * clusterSize), 40);
  header.writeBigUInt64BE(BigInt(clusterSize), 48);
  header.writeUInt32BE(1, 56);
  header.writeUInt32BE(refcountOrder, 96);
  header.writeUInt32BE(headerLength, 100);
  header.writeUInt32BE(extension.backingFormat, headerLength);
  header.writeUInt32BE(format.length, headerLength + 4);
  format.copy(header, headerLength + 8);
  name.copy(header, nameAt);
  const table = Buffer.alloc(8);
  table.writeBigUInt64BE(BigInt(2 * clusterSize));
  const counts = Buffer.alloc(2 * clusters);
  for (let cluster = 0; cluster < clusters; cluster++) counts.writeUInt16BE(1, 2 * cluster);
  return {
    length: clusters * clusterSize,
    pieces: [
      { offset: 0, bytes: header },
      { offset: clusterSize, bytes: table },
      { offset: 2 * clusterSize, bytes: counts },
    ],
  };
}

const padded = (length: number): number => Math.ceil(length / 8) * 8;
