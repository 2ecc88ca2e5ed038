/**
 * qcow2, versions 2 and 3: fixed header, header extensions, names of backing and data file.
 *
 * What QEMU refuses is refused, and so are tables outside the file. Source: QEMU's docs/interop/qcow2.txt.
 */
import { takeName } from './bytes';
import { recordedFormat } from './recorded-format';
import { readExtensions, type Extensions } from './qcow2-extensions';
import { checkTables } from './qcow2-tables';
import type { FormatReader, HeaderBytes, ImageHeader, RecordedBacking } from './types';

export const qcow2Magic = 'QFI\xfb';
const v2Length = 72;
const v3Length = 104;
/** Where the compression type stands, in headers that are long enough. */
const compressionAt = 104;

const incompatible = { dirty: 1n, corrupt: 2n, dataFile: 4n, compression: 8n, extendedL2: 16n } as const;
const knownIncompatible = 31n;
const lazyRefcounts = 1n;
const dataFileIsRaw = 2n;

/** The fixed header, versions made equal. */
export interface Qcow2Header {
  readonly version: number;
  readonly backingOffset: bigint;
  readonly backingLength: number;
  readonly clusterBits: number;
  readonly size: bigint;
  readonly crypt: number;
  readonly l1Entries: number;
  readonly l1Offset: bigint;
  readonly refcountOffset: bigint;
  readonly refcountClusters: number;
  readonly snapshots: number;
  readonly snapshotsOffset: bigint;
  readonly incompatible: bigint;
  readonly compatible: bigint;
  readonly autoclear: bigint;
  readonly headerLength: number;
  readonly extendedL2: boolean;
}

export const qcow2: FormatReader = {
  format: 'qcow2',
  matches: (start) =>
    start.length >= 8 &&
    start.toString('latin1', 0, 4) === qcow2Magic &&
    (start.readUInt32BE(4) === 2 || start.readUInt32BE(4) === 3),
  read: async (bytes) => {
    const header = await readFixedHeader(bytes);
    checkTables(header, bytes);
    const extensions = await readExtensions(header, bytes);
    if (header.crypt === 2 && !extensions.encryptionHeader)
      bytes.refuse('it is encrypted and has no encryption header');
    return describe(header, extensions, await readBacking(header, extensions, bytes));
  },
};

/** @throws VirtError IMAGE_INVALID for all that QEMU refuses in the fixed header */
export async function readFixedHeader(bytes: HeaderBytes): Promise<Qcow2Header> {
  const raw = await bytes.take(0, v2Length, 'the qcow2 header');
  if (raw.toString('latin1', 0, 4) !== qcow2Magic) bytes.refuse('it is not a qcow2 image');
  const version = raw.readUInt32BE(4);
  if (version !== 2 && version !== 3) bytes.refuse(`unsupported qcow2 version ${version}`);
  const v3 = version === 3 ? await bytes.take(0, v3Length, 'the qcow2 header') : undefined;
  const features = v3?.readBigUInt64BE(72) ?? 0n;
  const header: Qcow2Header = {
    version,
    backingOffset: raw.readBigUInt64BE(8),
    backingLength: raw.readUInt32BE(16),
    clusterBits: raw.readUInt32BE(20),
    size: raw.readBigUInt64BE(24),
    crypt: raw.readUInt32BE(32),
    l1Entries: raw.readUInt32BE(36),
    l1Offset: raw.readBigUInt64BE(40),
    refcountOffset: raw.readBigUInt64BE(48),
    refcountClusters: raw.readUInt32BE(56),
    snapshots: raw.readUInt32BE(60),
    snapshotsOffset: raw.readBigUInt64BE(64),
    incompatible: features,
    compatible: v3?.readBigUInt64BE(80) ?? 0n,
    autoclear: v3?.readBigUInt64BE(88) ?? 0n,
    headerLength: v3?.readUInt32BE(100) ?? v2Length,
    extendedL2: (features & incompatible.extendedL2) !== 0n,
  };
  checkFixedHeader(header, v3?.readUInt32BE(96) ?? 4, bytes);
  if (v3) await checkCompression(header, bytes);
  return header;
}

function checkFixedHeader(header: Qcow2Header, refcountOrder: number, bytes: HeaderBytes): void {
  const { clusterBits, headerLength, backingOffset } = header;
  if (clusterBits < 9 || clusterBits > 21) bytes.refuse(`unsupported cluster size: 2^${clusterBits}`);
  const cluster = 1 << clusterBits;
  if (headerLength < (header.version === 3 ? v3Length : v2Length)) bytes.refuse('the qcow2 header is too short');
  if (headerLength > cluster) bytes.refuse('the qcow2 header exceeds the cluster size');
  const unknown = header.incompatible & ~knownIncompatible;
  if (unknown !== 0n) bytes.refuse(`unsupported qcow2 feature(s): 0x${unknown.toString(16)}`);
  const split = (header.incompatible & incompatible.dataFile) !== 0n;
  if (!split && (header.autoclear & dataFileIsRaw) !== 0n) bytes.refuse('it has a raw data file and no data file');
  if (refcountOrder > 6) bytes.refuse('a reference count is wider than 64 bits');
  if (header.crypt > 2) bytes.refuse(`unsupported encryption method ${header.crypt}`);
  if (header.extendedL2 && clusterBits < 14) bytes.refuse('extended L2 entries need clusters of 16 KiB or more');
  if (backingOffset > BigInt(cluster)) bytes.refuse(`invalid backing file offset ${backingOffset}`);
}

async function checkCompression({ headerLength, incompatible: features }: Qcow2Header, bytes: HeaderBytes) {
  const type = headerLength > compressionAt ? (await bytes.take(compressionAt, 1, 'the compression type'))[0] : 0;
  const marked = (features & incompatible.compression) !== 0n;
  if (type !== 0 && type !== 1) bytes.refuse(`unknown compression type ${type}`);
  if (marked !== (type === 1)) bytes.refuse('compression type and its feature bit contradict each other');
}

async function readBacking(
  { backingOffset, backingLength, clusterBits }: Qcow2Header,
  { backingFormat }: Extensions,
  bytes: HeaderBytes,
): Promise<RecordedBacking | undefined> {
  if (backingOffset === 0n || backingLength === 0) return undefined;
  const what = 'the backing file name';
  if (backingOffset + BigInt(backingLength) > BigInt(1 << clusterBits)) {
    bytes.refuse(`${what} is ${backingLength} bytes long and leaves the first cluster`);
  }
  const string = await takeName(bytes, backingOffset, backingLength, what);
  return { string, ...recordedFormat(backingFormat ?? '') };
}

function describe(
  header: Qcow2Header,
  { dataFile, bitmaps }: Extensions,
  backing: RecordedBacking | undefined,
): ImageHeader {
  const has = (bit: bigint): boolean => (header.incompatible & bit) !== 0n;
  const encryption = ([undefined, 'qcow', 'luks'] as const)[header.crypt];
  const features = [
    ...((header.compatible & lazyRefcounts) !== 0n ? ['lazy_refcounts'] : []),
    ...(has(incompatible.extendedL2) ? ['extended_l2'] : []),
    ...(has(incompatible.dataFile) ? ['data_file'] : []),
    ...(has(incompatible.dirty) ? ['dirty'] : []),
    ...(has(incompatible.corrupt) ? ['corrupt'] : []),
  ];
  return {
    format: 'qcow2',
    capacity: header.size,
    ...(backing && { backing }),
    ...(has(incompatible.dataFile) && {
      dataFile: {
        ...(dataFile !== undefined && { name: dataFile }),
        raw: (header.autoclear & dataFileIsRaw) !== 0n,
      },
    }),
    ...(encryption && { encryption }),
    clusterSize: 1 << header.clusterBits,
    compat: header.version === 3 ? '1.1' : '0.10',
    features,
    ...(bitmaps && { bitmaps }),
  };
}
