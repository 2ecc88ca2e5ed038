/** What a disk of a running guest stands on, read from the headers of its images. */
import { discoverChain, localImages, machineId } from '@virtbus/disk-image';
import { givenChain, type Disk } from '@virtbus/domain-xml';
import type { ChainDocument } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';

/** Undefined for an empty drive, and where an image cannot be read: then nobody starts from what we remember. */
export async function chainOf(disk: Disk, log: Log): Promise<ChainDocument | undefined> {
  const given = givenChain(disk);
  if (!given) return undefined;
  const [top, ...below] = given.images;
  try {
    const open = localImages({ machine: machineId() });
    return await discoverChain({ ...top, below, ended: given.ended }, { policy: 'strict', open });
  } catch (err) {
    log.warn({ err, disk: disk.target.dev }, 'the images of a disk cannot be read after a block job');
    return undefined;
  }
}

/** The names that headers give to the images below, relative ones only, by position; the search follows headers alone. */
export async function relativeNames(disk: Disk): Promise<(string | undefined)[]> {
  const given = givenChain(disk);
  if (!given) return [];
  const [{ location, format }] = given.images;
  const open = localImages({ machine: machineId() });
  const { layers } = await discoverChain({ location, format }, { policy: 'strict', open });
  return layers.map(({ relPath }) => relPath);
}
