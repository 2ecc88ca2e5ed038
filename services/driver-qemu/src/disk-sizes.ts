/** Sizes of disks: what the guest sees from QEMU or from the image's header, what it takes up from the host. */
import { localImages, machineId, readHeader } from '@virtbus/disk-image';
import { chainLayers, givenChain, isEmptyDrive, nodeImages, type Disk } from '@virtbus/domain-xml';
import type { DiskSizes } from '@virtbus/shared';
import { stat } from 'node:fs/promises';
import { nodeSource, type BlockHost } from './block-jobs/nodes';
import type { QemuGuest } from './guest';

/** Bytes in a block of `stat`. */
const statBlock = 512;

export interface SizeOnHost {
  path: string;
  physical: number;
  allocation: number;
  /** Of the image in it; left out where the format does not say. */
  capacity?: number;
}

/** @param guest undefined for a domain that does not run */
export async function sizesOf(
  host: BlockHost,
  guest: QemuGuest | undefined,
  disk: Disk,
  signal: AbortSignal,
): Promise<DiskSizes> {
  const target = disk.target.dev ?? '';
  if (isEmptyDrive(disk)) return { disk: target };
  const { capacity, ...onHost } = (await sizeOnHost(disk, guest === undefined)) ?? {};
  if (!guest) return { disk: target, ...onHost, ...(capacity !== undefined && { capacity }) };
  const layers = chainLayers(nodeSource(host, guest), disk)[0];
  const nodes = nodeImages(await guest.ask('query-named-block-nodes', { flat: true }, signal));
  const top = nodes.get(layers?.top ?? '');
  const highest = disk.type === 'block' ? await highestWrite(guest, layers?.storage, signal) : undefined;
  return {
    disk: target,
    ...onHost,
    ...(top && { capacity: top.capacity }),
    ...(highest !== undefined && highest > 0 && { allocation: highest }),
  };
}

/** A device has room for everything: what QEMU has used of it is as far as it has written. */
async function highestWrite(
  guest: QemuGuest,
  node: string | undefined,
  signal: AbortSignal,
): Promise<number | undefined> {
  const stats = await guest.ask('query-blockstats', { 'query-nodes': true }, signal);
  return stats.find((one) => one['node-name'] === node)?.stats.wr_highest_offset;
}

/**
 * Undefined for an image that is not a file or device of this host.
 * @param look into the header, too: not while a guest writes to it
 */
export async function sizeOnHost(disk: Disk, look = false): Promise<SizeOnHost | undefined> {
  const location = disk.type === 'volume' ? undefined : givenChain(disk)?.images[0].location;
  if (location?.type !== 'file' && location?.type !== 'block') return undefined;
  const { path } = location;
  const image = await localImages({ machine: machineId() })(location, 'given');
  if (!image) return undefined;
  try {
    const allocation = image.kind === 'block' ? image.size : (await stat(path)).blocks * statBlock;
    const found = { path, physical: image.size, allocation };
    if (!look) return found;
    const header = await readHeader(image, { image: path, format: disk.driver?.type ?? 'raw' });
    return { ...found, capacity: Number(header.capacity) };
  } finally {
    await image.close();
  }
}
