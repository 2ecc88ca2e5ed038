/** Snapshots of a domain that is off: its images are changed with qemu-img, which opens the one image that it is told of. */
import { formatLocation } from '@virtbus/disk-image';
import { headerFormatAt, numberDisk, type Disk, type Domain } from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import { overlaysOf, withOverlays, type Taking } from '@virtbus/driver-runtime';
import { VirtError, type ChainDocument, type ChainLayer } from '@virtbus/shared';
import { qemuImg } from './qemu-img';

/** The qcow2 image by itself: what its header names is not opened. */
function alone(disk: Disk): string {
  const { file, dev } = disk.source ?? {};
  const storage = file === undefined ? { driver: 'host_device', filename: dev } : { driver: 'file', filename: file };
  return `json:${JSON.stringify({ driver: 'qcow2', file: storage, backing: null })}`;
}

/** Disks that the snapshot is within. */
function disksOf(domain: Domain, { disks }: Snapshot): Disk[] {
  const targets = new Set(disks.flatMap(({ name, snapshot }) => (snapshot === 'internal' ? [name] : [])));
  return domain.devices.disks.filter(({ target }) => targets.has(target.dev ?? ''));
}

export async function takeOffline(domain: Domain, taking: Taking): Promise<void> {
  const { snapshot, images, reuse, signal } = taking;
  if (!reuse) await makeOverlays(withOverlays(domain, snapshot), snapshot, images, signal);
  try {
    for (const disk of disksOf(domain, snapshot)) await qemuImg(['snapshot', '-c', snapshot.name, alone(disk)], signal);
  } catch (error) {
    // Also of the one at which it was stopped, which may have been done: none of them held it before. A reason why it stays is told
    // to whoever takes it again.
    await removeOffline(domain, snapshot).catch(() => undefined);
    throw error;
  }
}

/** @param after the domain that stands on them. @param images what is below each: `base:vda` */
export async function makeOverlays(
  after: Domain,
  snapshot: Pick<Snapshot, 'disks'>,
  images: ReadonlyMap<string, ChainDocument>,
  signal: AbortSignal,
): Promise<void> {
  for (const target of overlaysOf(snapshot).keys()) {
    const disk = after.devices.disks.find((one) => one.target.dev === target);
    const below = images.get(`base:${target}`)?.layers[0];
    if (!disk || !below)
      throw new VirtError('INTERNAL_ERROR', { detail: `nobody has opened what disk '${target}' is to stand on` });
    await makeOverlay(disk, below, signal);
  }
}

/**
 * Makes the empty file of a disk's top image an overlay on the image below it.
 * @param below the image that it stands on: with its size, and what shall be alike
 */
async function makeOverlay(
  disk: Disk,
  { location, capacity, clusterSize, compat, features = [] }: ChainLayer,
  signal: AbortSignal,
): Promise<void> {
  const path = disk.source?.file ?? disk.source?.dev ?? '';
  if (capacity === undefined)
    throw new VirtError('OPERATION_FAILED', { detail: `the size of what '${path}' is to stand on is not known` });
  const format = disk.driver?.type ?? 'qcow2';
  const alike =
    format === 'qcow2'
      ? [
          ...(clusterSize === undefined ? [] : [`cluster_size=${clusterSize}`]),
          ...(compat === undefined ? [] : [`compat=${compat}`]),
          ...(features.includes('extended_l2') ? ['extended_l2=on'] : []),
        ]
      : [];
  const options = alike.length > 0 ? ['-o', alike.join(',')] : [];
  const backing = ['-u', '-b', formatLocation(location), '-F', headerFormatAt(numberDisk(disk, 1).disk, 1)];
  await qemuImg(['create', '-q', '-f', format, ...backing, ...options, path, String(capacity)], signal);
}

/** Throws where an image holds one of that name already. */
export async function checkFree(domain: Domain, snapshot: Snapshot): Promise<void> {
  for (const disk of disksOf(domain, snapshot))
    if (await has(disk, snapshot.name)) throw isHeldAlready(disk.target.dev ?? '', snapshot);
}

export function isHeldAlready(target: string, { name }: Snapshot): VirtError {
  const detail = `the image of disk '${target}' holds an internal snapshot '${name}' already, which no description of this domain tells of; choose another name, or remove that one (qemu-img snapshot -d)`;
  return new VirtError('OPERATION_FAILED', { detail });
}

/** Is it in all images? What is in some of them only is taken out. */
export async function wasTakenOffline(domain: Domain, snapshot: Snapshot): Promise<boolean> {
  const disks = disksOf(domain, snapshot);
  const having = await Promise.all(disks.map((disk) => has(disk, snapshot.name)));
  if (having.every(Boolean)) return true;
  await removeOffline(domain, snapshot);
  return false;
}

export async function removeOffline(domain: Domain, snapshot: Snapshot, signal?: AbortSignal): Promise<void> {
  for (const disk of disksOf(domain, snapshot)) {
    if (await has(disk, snapshot.name)) await qemuImg(['snapshot', '-d', snapshot.name, alone(disk)], signal);
  }
}

/** Throws what keeps an image from going back to it. */
export async function checkKept(domain: Domain, snapshot: Snapshot): Promise<void> {
  for (const disk of disksOf(domain, snapshot)) await numberOf(disk, snapshot);
}

/** Told by their numbers: what looks like one QEMU takes for one, though it is the name of another. */
export async function rewind(domain: Domain, snapshot: Snapshot, signal: AbortSignal): Promise<void> {
  // None is wound back unless all can be.
  const numbered: [Disk, string][] = [];
  for (const disk of disksOf(domain, snapshot)) numbered.push([disk, await numberOf(disk, snapshot)]);
  for (const [disk, number] of numbered) await qemuImg(['snapshot', '-a', number, alone(disk)], signal);
}

/** Of the snapshot in the disk's image. Throws where that cannot go back to it. */
async function numberOf(disk: Disk, { name, memory }: Snapshot): Promise<string> {
  const { snapshots, bitmaps } = await contentsOf(disk);
  const image = `the image of disk '${disk.target.dev ?? ''}'`;
  const [found, second] = snapshots.filter((one) => one.name === name);
  if (!found) throw new VirtError('OPERATION_FAILED', { detail: `${image} holds no snapshot '${name}'` });
  const refuse = (why: string): never => {
    const detail = `disk '${disk.target.dev ?? ''}' cannot go back to internal snapshot '${name}': ${why}`;
    throw new VirtError('OPERATION_UNSUPPORTED', { detail });
  };
  if (second) refuse('its image holds two of that name; remove the wrong one first (qemu-img snapshot -d)');
  const [bitmap] = bitmaps;
  if (bitmap) refuse(`its image holds bitmap '${bitmap.name}'; remove that first (qemu-img bitmap --remove)`);
  const other = memory?.snapshot === 'internal' && snapshots.find(({ id }) => id === name && id !== found.id);
  if (other) refuse(`QEMU would take the name for the number of snapshot '${other.name}'; delete that first`);
  return found.id;
}

async function has(disk: Disk, name: string): Promise<boolean> {
  return (await contentsOf(disk)).snapshots.some((one) => one.name === name);
}

interface Contents {
  snapshots: readonly { id: string; name: string }[];
  bitmaps: readonly { name: string }[];
}

/** The snapshots and the bitmaps that an image holds. */
async function contentsOf(disk: Disk): Promise<Contents> {
  const told = JSON.parse(await qemuImg(['info', '--output=json', '-U', alone(disk)])) as {
    snapshots?: Contents['snapshots'];
    'format-specific'?: { data?: { bitmaps?: Contents['bitmaps'] } };
  };
  return { snapshots: told.snapshots ?? [], bitmaps: told['format-specific']?.data?.bitmaps ?? [] };
}
