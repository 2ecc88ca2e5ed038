/** Dirty bitmaps that travel with copied disks, as QEMU's parameter `block-bitmap-mapping` names them. */
import { VirtError } from '@virtbus/shared';
import type { MigrationCookie } from './elements';

export interface BitmapMapping {
  'node-name': string;
  /** By which both sides know the node. */
  alias: string;
  bitmaps: { name: string; alias: string; transform?: { persistent: boolean } }[];
}

/**
 * @param nodeOf the node of the format layer of a disk's active image, by the disk's target; each side has its own
 * @param persistent bitmaps that are to be kept in the image where they arrive
 */
export function bitmapMapping(
  { disks }: NonNullable<MigrationCookie['blockDirtyBitmaps']>,
  nodeOf: (target: string) => string | undefined,
  persistent: (target: string, bitmap: string) => boolean = () => false,
): BitmapMapping[] {
  return disks.map(({ target, bitmaps }) => {
    const node = nodeOf(target);
    if (node === undefined) {
      throw new VirtError('COOKIE_INVALID', {
        detail: `Couldn't find disk '${target}' in domain definition for its bitmaps in the migration cookie`,
      });
    }
    return {
      'node-name': node,
      alias: target,
      bitmaps: bitmaps.map(({ name, alias }) => ({
        name,
        alias,
        ...(persistent(target, name) && { transform: { persistent: true } }),
      })),
    };
  });
}
