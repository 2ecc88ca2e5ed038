/** One file of a pool as a volume: what the file system tells of it, and what its header says. */
import { constants, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { readHeader, resolveLocation, type ImageHeader, type ImageReader } from '@virtbus/disk-image';
import { emptyVolume, type Volume } from '@virtbus/domain-xml/storage';
import { isVirtError, type ImageFormat } from '@virtbus/shared';
import type { FoundVolume, Knowledge } from './backends/backend';
import { lookOf } from './unchanged';

/** Absent: somebody took it away meanwhile, it leads nowhere, or we may not look. Nothing to make a fuss of in a list. */
const passedOver = new Set(['ENOENT', 'ENXIO', 'ENODEV', 'EACCES', 'EPERM', 'ELOOP']);

/**
 * The volume at `path`; undefined for what is none: sockets, pipes, dangling links.
 * @param formatOf tells the format of an image that we made; the header of others is probed
 */
export async function inspect(path: string, formatOf: Knowledge['formatOf']): Promise<FoundVolume | undefined> {
  let file: FileHandle;
  try {
    // Without waiting for the other end of a pipe.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (passedOver.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  try {
    const stats = await file.stat();
    if (stats.isDirectory())
      return { volume: { ...described(path, stats), type: 'dir', target: folderTarget(path, stats) } };
    if (!stats.isFile()) return undefined;
    const found = await readImage(path, file, stats, formatOf(basename(path), stats));
    return { ...found, seen: lookOf(stats) };
  } finally {
    await file.close();
  }
}

async function readImage(
  path: string,
  file: FileHandle,
  stats: Stats,
  format: ImageFormat | undefined,
): Promise<FoundVolume> {
  const volume = { ...described(path, stats), physical: stats.size };
  const made = format !== undefined;
  try {
    const header = await readHeader(readerOf(file, stats.size), { image: path, format });
    return { volume: withHeader(volume, path, header), made };
  } catch (error) {
    if (!isVirtError(error)) throw error;
    return {
      volume: { ...volume, target: { ...volume.target, format: { type: format ?? 'raw' } } },
      made,
      fault: error.message,
    };
  }
}

const readerOf = (file: FileHandle, size: number): ImageReader => ({
  size,
  read: async (offset, length) => {
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await file.read(buffer, 0, length, offset);
    return buffer.subarray(0, bytesRead);
  },
});

const blockSize = 512;

function described(path: string, stats: Stats): Volume {
  return {
    ...emptyVolume(basename(path)),
    key: path,
    allocation: stats.blocks * blockSize,
    capacity: stats.size,
    target: target(path, stats),
  };
}

const target = (path: string, stats: Stats): Volume['target'] => ({
  path,
  permissions: { mode: stats.mode & 0o777, owner: stats.uid, group: stats.gid },
  timestamps: {
    atime: seconds(stats.atimeMs),
    mtime: seconds(stats.mtimeMs),
    ctime: seconds(stats.ctimeMs),
    ...(stats.birthtimeMs > 0 && { btime: seconds(stats.birthtimeMs) }),
  },
});

const folderTarget = (path: string, stats: Stats): Volume['target'] => ({
  ...target(path, stats),
  format: { type: 'dir' },
});

/** As far as a number of milliseconds tells. */
const seconds = (ms: number): string => (ms / 1_000).toFixed(9);

function withHeader(volume: Volume, path: string, header: ImageHeader): Volume {
  const { format, compat, clusterSize, encryption, features = [] } = header;
  const has = (name: string): boolean | undefined => (features.includes(name) ? true : undefined);
  return {
    ...volume,
    capacity: Number(header.capacity),
    target: {
      ...volume.target,
      format: { type: format },
      ...(encryption && { encryption: { format: encryption, secrets: [] } }),
      ...(compat === '1.1' && { compat }),
      ...(clusterSize !== undefined && { clusterSize }),
      ...(compat === '1.1' && {
        features: {
          lazy_refcounts: has('lazy_refcounts'),
          extended_l2: has('extended_l2'),
          data_file: has('data_file'),
        },
      }),
    },
    ...(header.backing && { backingStore: backingOf(header.backing, path) }),
  };
}

function backingOf(
  { string, format }: NonNullable<ImageHeader['backing']>,
  path: string,
): NonNullable<Volume['backingStore']> {
  return { path: placeOf(string, path), ...(format !== undefined && { format: { type: format } }) };
}

/** The path that a header names, or its own words for what is no file. */
function placeOf(text: string, overlay: string): string {
  try {
    const { location } = resolveLocation(text, { type: 'file', path: overlay });
    return location.type === 'file' ? location.path : text;
  } catch {
    return text;
  }
}
