/** Formats whose images stand alone: a magic, a version, a size. Facts: their QEMU drivers and published descriptions. */
import { nameOf } from './bytes';
import type { FormatReader, HeaderBytes } from './types';

const sector = 512n;

/** The mark of a volume descriptor, behind 32 KiB that belong to the system. */
const isoMarkAt = 32769;
export const hasIsoMark = async (bytes: HeaderBytes): Promise<boolean> =>
  (await bytes.upTo(isoMarkAt, 5)).toString('latin1') === 'CD001';

export const vdi: FormatReader = {
  format: 'vdi',
  matches: (start) => start.length >= 72 && start.readUInt32LE(64) === 0xbeda107f && start.readUInt32LE(68) === 0x10001,
  read: async (bytes) => {
    const raw = await bytes.take(0, 456, 'the vdi header');
    if (!vdi.matches(raw)) bytes.refuse('it is not a vdi image');
    if (raw.readUInt32LE(360) !== 512) bytes.refuse(`unsupported sectors of ${raw.readUInt32LE(360)} bytes`);
    const links = raw.subarray(424, 456);
    if (links.some((byte) => byte !== 0))
      bytes.refuse('it stands on a parent image, and parents of vdi images can not be followed');
    return { format: 'vdi', capacity: raw.readBigUInt64LE(368), clusterSize: raw.readUInt32LE(376) };
  },
};

const ploopMagics = ['WithouFreSpacExt', 'WithoutFreeSpace'];

export const ploop: FormatReader = {
  format: 'ploop',
  matches: (start) => ploopMagics.includes(start.toString('latin1', 0, 16)),
  read: async (bytes) => {
    const raw = await bytes.take(0, 64, 'the parallels header');
    if (!ploop.matches(raw) || raw.readUInt32LE(16) !== 2) bytes.refuse('it is not a parallels image of version 2');
    const sectorsPerTrack = raw.readUInt32LE(28);
    if (sectorsPerTrack === 0 || sectorsPerTrack > 0x7fffffff / 513)
      bytes.refuse(`unsupported track of ${sectorsPerTrack} sectors`);
    // The old kind has a size of 32 bits; what lies behind it is not cleared.
    const sectors = raw.readBigUInt64LE(36) & (raw.toString('latin1', 0, 16) === ploopMagics[0] ? ~0n : 0xffffffffn);
    return { format: 'ploop', capacity: BigInt.asUintN(64, sectors) * sector, clusterSize: sectorsPerTrack * 512 };
  },
};

/** User-mode Linux's old format. QEMU has dropped it, so no guest can use one. */
export const cow: FormatReader = {
  format: 'cow',
  matches: (start) => start.length >= 8 && start.toString('latin1', 0, 4) === 'OOOM' && start.readUInt32BE(4) === 2,
  read: async (bytes) => {
    const raw = await bytes.take(0, 1044, 'the cow header');
    if (!cow.matches(raw)) bytes.refuse('it is not a cow image');
    const field = raw.subarray(8, 8 + 1024);
    const end = field.indexOf(0);
    if (end < 0) bytes.refuse('the backing file name is 1024 bytes long, more than 1023');
    const string = nameOf(field.subarray(0, end), 'the backing file name', bytes);
    return { format: 'cow', capacity: raw.readBigUInt64BE(1036), ...(string && { backing: { string } }) };
  },
};

const bochsVersions = { v1: 0x10000, v2: 0x20000 };

export const bochs: FormatReader = {
  format: 'bochs',
  matches: (start) =>
    start.length >= 68 &&
    textAt(start, 0, 32) === 'Bochs Virtual HD Image' &&
    textAt(start, 32, 16) === 'Redolog' &&
    textAt(start, 48, 16) === 'Growing' &&
    Object.values(bochsVersions).includes(start.readUInt32LE(64)),
  read: async (bytes) => {
    const raw = await bytes.take(0, 96, 'the bochs header');
    if (!bochs.matches(raw)) bytes.refuse('it is not a growing bochs image');
    return { format: 'bochs', capacity: raw.readBigUInt64LE(raw.readUInt32LE(64) === bochsVersions.v1 ? 84 : 88) };
  },
};

const textAt = (bytes: Buffer, at: number, length: number): string =>
  bytes.toString('latin1', at, at + length).replace(/\0.*$/s, '');

const cloopScript = '#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n';

export const cloop: FormatReader = {
  format: 'cloop',
  matches: (start) => start.toString('latin1', 0, cloopScript.length) === cloopScript,
  read: async (bytes) => {
    const raw = await bytes.take(0, 136, 'the cloop header');
    const blockSize = raw.readUInt32BE(128);
    if (blockSize === 0 || blockSize % 512 !== 0 || blockSize > 64 * 1024 * 1024)
      bytes.refuse(`unsupported block size ${blockSize}`);
    return { format: 'cloop', capacity: BigInt(blockSize) * BigInt(raw.readUInt32BE(132)), clusterSize: blockSize };
  },
};

const trailerLength = 512;
/** The mark of a dmg image stands at its end. */
export const hasDmgTrailer = async (bytes: HeaderBytes): Promise<boolean> =>
  bytes.size >= trailerLength && (await bytes.upTo(bytes.size - trailerLength, 4)).toString('latin1') === 'koly';

export const dmg: FormatReader = {
  format: 'dmg',
  matches: () => false,
  read: async (bytes) => {
    if (!(await hasDmgTrailer(bytes))) bytes.refuse('it is not a dmg image');
    const trailer = await bytes.take(bytes.size - trailerLength, trailerLength, 'the dmg trailer');
    return { format: 'dmg', capacity: trailer.readBigUInt64BE(492) * sector };
  },
};
