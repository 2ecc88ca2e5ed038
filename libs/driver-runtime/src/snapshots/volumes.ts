/** Volumes of pools as the files or devices that they are: of a domain that is off only storage has looked where they lie. */
import { diskImages, isChainEnded, withChain, withImages, type Disk, type Domain } from '@virtbus/domain-xml';
import type { ChainDocument } from '@virtbus/shared';
import { withDisks } from './overlays';

/**
 * A copy whose disks name images that can be opened, where the definition names volumes.
 * @param chainOf what was prepared of a disk as it is in the document
 */
export const located = (domain: Domain, chainOf: (target: string, disk: Disk) => ChainDocument | undefined): Domain =>
  withDisks(domain, (disk, target) => {
    const chain = disk.type === 'volume' ? chainOf(target, disk) : undefined;
    return chain ? atItsPlace(disk, chain) : disk;
  });

/** The volume alone: what the document says of images below it stays. */
function atItsPlace(disk: Disk, chain: ChainDocument): Disk {
  const [top, ...below] = [diskImages(withChain(disk, chain))[0]!, ...diskImages(disk).slice(1)];
  return withImages(disk, [top, ...below], isChainEnded(disk));
}

/** As the needs of a command name what its disks stand on. */
export const baseIn =
  (chains: ReadonlyMap<string, ChainDocument>) =>
  (target: string): ChainDocument | undefined =>
    chains.get(`base:${target}`);
