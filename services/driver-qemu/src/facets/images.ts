/** Whether the images of a disk are still those that storage found: for a start without anybody to ask. */
import { isDeepStrictEqual } from 'node:util';
import { discoverChain, localImages, machineId } from '@virtbus/disk-image';
import { givenChain, type Disk } from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { isVirtError, type ChainDocument, type ChainLayer } from '@virtbus/shared';
import type { QemuGuest } from '../guest';

export const images: NonNullable<Facets<QemuGuest>['images']> = {
  areStill: async (disk, known) => {
    try {
      const open = localImages({ machine: machineId() });
      const now = await discoverChain(startOf(disk, known), { policy: 'strict', open });
      return isDeepStrictEqual(now.layers.map(essence), known.layers.map(essence));
    } catch (error) {
      if (isVirtError(error)) return false;
      throw error;
    }
  },
};

/** Where a volume lies only its pool can tell: it is taken to be where it was. */
function startOf(disk: Disk, { layers: [top] }: ChainDocument) {
  const given = disk.type === 'volume' ? undefined : givenChain(disk);
  if (!given) return { location: top!.location, format: top!.format };
  const [active, ...below] = given.images;
  return { ...active, below, ended: given.ended };
}

/** What a layer is and stands on; sizes change while guests write. */
const essence = ({ location, format, identity, backing, dataFile, encryption }: ChainLayer) => ({
  ...{ location, format, identity, backing, dataFile, encryption },
});
