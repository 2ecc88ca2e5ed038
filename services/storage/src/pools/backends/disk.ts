/** Pools of type disk: a partitioned disk, and its partitions as block devices. */
import { existsSync } from 'node:fs';
import type { Pool, Volume } from '@virtbus/domain-xml/storage';
import { VirtError } from '@virtbus/shared';
import { run } from '../../programs';
import { deviceVolume } from '../device-volume';
import type { Backend, Contents } from './backend';
import { refuseUsed } from './mounted';

/** libvirt's names of partition tables that parted calls otherwise. */
const labels: Readonly<Record<string, string>> = { dos: 'msdos', unknown: 'msdos' };

interface Part {
  /** 0: free space. */
  number: number;
  start: number;
  end: number;
  size: number;
}

export const disk: Backend = {
  isUp: async (pool) => {
    if (!existsSync(deviceOf(pool))) return false;
    // One that cannot be read now is there all the same.
    await partsOf(pool);
    return true;
  },
  build: async (pool, overwrite, signal) => {
    if (!overwrite) await refuseUsed(deviceOf(pool), signal);
    const format = pool.source.format?.type ?? 'unknown';
    await parted(pool, ['mklabel', labels[format] ?? format], signal);
  },
  start: async (pool) => void (await partsOf(pool)),
  stop: async () => undefined,
  remove: async (pool) => {
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: `a disk is not deleted; build pool '${pool.name}' with overwrite`,
    });
  },
  look,
  space: async (pool) => (await look(pool)).space,
  devices: {
    create: async (pool, volume, signal) => {
      const before = new Set((await partsOf(pool)).parts.map(({ number }) => number));
      const { start, end } = await placeFor(pool, volume);
      await parted(pool, ['unit', 'B', 'mkpart', 'primary', `${start}B`, `${end}B`], signal);
      const made = (await partsOf(pool)).parts.find(({ number }) => number > 0 && !before.has(number));
      if (!made) throw new VirtError('OPERATION_FAILED', { detail: `parted made no partition on ${deviceOf(pool)}` });
      return partitionPath(pool, made.number);
    },
    identify: async (pool, path) => {
      const part = await partitionAt(pool, path);
      return part && `${part.start}-${part.end}`;
    },
    remove: async (pool, { target }) => {
      const part = target.path === undefined ? undefined : await partitionAt(pool, target.path);
      if (part) await parted(pool, ['rm', String(part.number)]);
    },
  },
};

const deviceOf = ({ source }: Pool): string => source.devices[0]?.path ?? '';

const parted = (pool: Pool, words: string[], signal?: AbortSignal): Promise<string> =>
  run('parted', ['--script', '--machine', '--', deviceOf(pool), ...words], { signal });

/** `/dev/sda1`, `/dev/nvme0n1p1`: a digit at the end is kept apart unless the document says otherwise. */
function partitionPath(pool: Pool, number: number): string {
  const [device] = pool.source.devices;
  const apart = device?.part_separator ?? /\d$/.test(deviceOf(pool));
  return `${deviceOf(pool)}${apart ? 'p' : ''}${number}`;
}

/** What parted's machine output says: `number:start:end:size:…;`, sizes in bytes, free space as `free`. */
async function partsOf(pool: Pool): Promise<{ capacity: number; parts: Part[] }> {
  const lines = (await parted(pool, ['unit', 'B', 'print', 'free'])).split('\n').slice(1);
  const capacity = Number.parseInt(lines[0]?.split(':')[1] ?? '', 10);
  const parts = lines.slice(1).flatMap((line): Part[] => {
    const [number, start, end, size, kind] = line.replace(/;$/, '').split(':');
    if (!number || !size) return [];
    const bytes = [start, end, size].map((each) => Number.parseInt(each ?? '', 10));
    const [from = 0, to = 0, total = 0] = bytes;
    return [{ number: kind === 'free' ? 0 : Number(number), start: from, end: to, size: total }];
  });
  return { capacity, parts };
}

async function partitionAt(pool: Pool, path: string): Promise<Part | undefined> {
  const { parts } = await partsOf(pool);
  return parts.find(({ number }) => number > 0 && partitionPath(pool, number) === path);
}

/** Partitions begin at whole MiB. */
const alignment = 1024 ** 2;

async function placeFor(pool: Pool, { capacity = 0, name }: Volume): Promise<{ start: number; end: number }> {
  const { parts } = await partsOf(pool);
  for (const { number, start, end } of parts) {
    if (number !== 0) continue;
    const from = Math.max(alignment, Math.ceil(start / alignment) * alignment);
    if (from + capacity - 1 <= end) return { start: from, end: from + capacity - 1 };
  }
  throw new VirtError('OPERATION_FAILED', {
    detail: `no free space of ${capacity} bytes for volume '${name}' on ${deviceOf(pool)}`,
  });
}

async function look(pool: Pool): Promise<Contents> {
  const { capacity, parts } = await partsOf(pool);
  const used = parts.filter(({ number }) => number > 0);
  const volumes = used.map(({ number, size }) => {
    const path = partitionPath(pool, number);
    return { volume: deviceVolume(path.slice(path.lastIndexOf('/') + 1), path, size) };
  });
  const allocation = used.reduce((sum, { size }) => sum + size, 0);
  return { space: { capacity, allocation, available: capacity - allocation }, volumes };
}
