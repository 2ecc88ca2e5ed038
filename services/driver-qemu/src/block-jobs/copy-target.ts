/** Where a copy is to lie: what the command says, what storage has made of it, and the disk as it will be. (facts: block-jobs §3.4) */
import { diskImages, formatDevice, isChainEnded, parseCopyTarget, withMirror, type Disk } from '@virtbus/domain-xml';
import type { BlockJobStart } from '@virtbus/driver-runtime';
import { VirtError, type copyBlocks, type ImageNeed, type Request } from '@virtbus/shared';
import { describeChain } from '../files';
import type { QemuGuest } from '../guest';
import { numbered } from '../image-numbers';
import { diskForJob, targetOf } from './chain-names';

interface CopyPlan {
  disk: Disk;
  /** The target as a disk of its own. */
  copy: Disk;
  shallow: boolean;
}

/** Throws what is wrong with the request. */
export function planCopy(guest: QemuGuest, ask: Request<typeof copyBlocks>): CopyPlan {
  const disk = diskForJob(guest, ask.disk);
  const target = targetOf(disk);
  const images = diskImages(disk);
  const invalid = (detail: string): VirtError => new VirtError('INVALID_ARG', { detail });
  if (images.length === 0) {
    throw new VirtError('CONFIG_UNSUPPORTED', { detail: `disk ${ask.disk} has no source file to be copied` });
  }
  const { granularity } = ask;
  if (granularity !== undefined && (granularity & (granularity - 1)) !== 0) {
    throw invalid('granularity must be power of 2');
  }
  const copy = parseCopyTarget(ask.xml, target);
  copy.driver = { ...copy.driver, name: 'qemu', type: copy.driver?.type ?? disk.driver?.type ?? 'raw' };
  if (copy.source?.fdgroup !== undefined) {
    const detail = 'copy to a FD passed disk source is not yet supported';
    throw new VirtError('OPERATION_UNSUPPORTED', { detail });
  }
  const path =
    copy.type === 'file' ? (copy.source?.file ?? '') : copy.type === 'block' ? (copy.source?.dev ?? '') : '/';
  if (!path.startsWith('/')) throw invalid('absolute path must be used as block copy target');
  // With one image there is nothing to leave below.
  const shallow = ask.shallow && images.length > 1;
  if (shallow && copy.driver.type === 'raw') {
    throw invalid(`shallow copy of disk '${target}' into a raw file is not possible`);
  }
  // A shallow copy that we make stands on what the disk stands on; what else has to be there says so itself.
  if (!ask.reuseExternal) copy.backingStore = {};
  return { disk, copy, shallow };
}

export function copyNeeds({ disk, copy }: CopyPlan, reuse: boolean): ImageNeed[] {
  const target = targetOf(disk);
  const xml = formatDevice({ list: 'disks', value: copy }, 'inactive');
  return [{ name: mirrorNeed(target), target, disk: xml, use: reuse ? 'open' : 'create' }];
}

const mirrorNeed = (target: string): string => `mirror:${target}`;

/** The disk with its mirror as the live document shows it while the copy is made. */
export function mirroredDisk(
  guest: QemuGuest,
  { disk, copy, shallow }: CopyPlan,
  reuse: boolean,
  images: BlockJobStart['images'],
): Disk {
  const described = describeChain(copy, images.get(mirrorNeed(targetOf(disk))));
  const target = numbered(guest, described);
  const [image, ...below] = diskImages(target);
  const own = reuse ? { below, ended: isChainEnded(target) } : { below: [], ended: !shallow };
  return withMirror(disk, { image: image!, job: 'copy', ...own });
}
