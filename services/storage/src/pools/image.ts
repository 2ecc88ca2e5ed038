/** One file of a pool as a volume: what the file system tells of it, and what its header says. */
import type { Stats } from 'node:fs';
import { basename } from 'node:path';
import { readHeader, resolveLocation, type ImageHeader, type ImageReader } from '@virtbus/disk-image';
import { emptyVolume, type Volume } from '@virtbus/domain-xml/storage';
import { isVirtError, type ImageFormat } from '@virtbus/shared';
import { inThreads, type Access } from './access';
import type { FoundVolume, Knowledge } from './backends/backend';

/** Absent: somebody took it away meanwhile, it leads nowhere, or we may not look. Nothing to make a fuss of in a list. */
const passedOver = new Set(['ENOENT', 'ENXIO', 'ENODEV', 'EACCES', 'EPERM', 'ELOOP']);

/** A write within this time may leave a file's change time as it was, milliseconds: clocks of file systems tick. */
const clockTickMs = 2_000;

/**
 * The volume at `path`; undefined for what is none: sockets, pipes, devices, dangling links. Only files are opened, and
 * only when they have changed since they were last: a change time rises with every write.
 * @param known the header of an image that we did not make is probed
 */
export async function inspect(path: string, known: Knowledge, access = inThreads): Promise<FoundVolume | undefined> {
  try {
    const stats = await access.stat(path);
    if (stats.isDirectory())
      return { volume: { ...described(path, stats), type: 'dir', target: folderTarget(path, stats) } };
    if (!stats.isFile()) return undefined;
    const before = known.before(basename(path));
    if (before?.seen !== undefined && before.seen === appearance(stats)) return before;
    return await lookInside(path, known, access);
  } catch (error) {
    if (passedOver.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

const appearance = ({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string => [dev, ino, size, mtimeMs, ctimeMs].join();

async function lookInside(path: string, known: Knowledge, access: Access): Promise<FoundVolume | undefined> {
  const fd = await access.open(path);
  try {
    const stats = await access.fstat(fd);
    if (!stats.isFile()) return undefined;
    const found = await readImage(path, readerOf(fd, stats.size, access), stats, known.formatOf(basename(path), stats));
    // A change that comes at once could not be told from none.
    return stats.ctimeMs < Date.now() - clockTickMs ? { ...found, seen: appearance(stats) } : found;
  } finally {
    await access.close(fd);
  }
}

async function readImage(
  path: string,
  reader: ImageReader,
  stats: Stats,
  format: ImageFormat | undefined,
): Promise<FoundVolume> {
  const volume = { ...described(path, stats), physical: stats.size };
  const made = format !== undefined;
  try {
    const header = await readHeader(reader, { image: path, format });
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

const readerOf = (fd: number, size: number, access: Access): ImageReader => ({
  size,
  read: async (offset, length) => {
    const buffer = Buffer.allocUnsafe(length);
    return buffer.subarray(0, await access.read(fd, buffer, offset));
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
