/** A checkpoint's disks side by side with the domain's: which ones get a bitmap. */
import { isEmptyDrive } from '../disk-chain';
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import { isWritten, matchDisks } from '../moment/domain-disk';
import { fail } from '../schema';
import type { Checkpoint } from './documents';
import type { CheckpointDisk } from './elements';

/**
 * A copy whose disks are those of the domain, all of them in its order. A checkpoint that names no disk is one of all that can be
 * written; otherwise the others get none. Bitmaps are named like the checkpoint. Throws CONFIG_UNSUPPORTED.
 */
export function alignCheckpoint(checkpoint: Checkpoint, domain: Domain): Checkpoint {
  const { disks } = domain.devices;
  if (disks.length === 0) fail('CONFIG_UNSUPPORTED', 'domain must have at least one disk to perform checkpoints');
  if (checkpoint.disks.length > disks.length)
    fail('CONFIG_UNSUPPORTED', 'too many disk checkpoint requests for domain');
  const all = checkpoint.disks.length === 0;
  return {
    ...checkpoint,
    disks: matchDisks(domain, checkpoint.disks).map(({ disk, asked }) =>
      alignDisk(disk, asked ?? { name: disk.target.dev ?? '', checkpoint: all && isWritten(disk) ? 'bitmap' : 'no' }, {
        bitmap: checkpoint.name,
      }),
    ),
  };
}

function alignDisk(disk: Disk, asked: CheckpointDisk, { bitmap }: { bitmap: string }): CheckpointDisk {
  if (asked.checkpoint === 'no') return { name: asked.name, checkpoint: 'no' };
  if (isEmptyDrive(disk)) fail('CONFIG_UNSUPPORTED', `disk '${asked.name}' is empty`);
  if (disk.readonly) fail('CONFIG_UNSUPPORTED', `disk '${asked.name}' is read-only`);
  if (asked.bitmap !== undefined && asked.bitmap !== bitmap)
    fail('CONFIG_UNSUPPORTED', `bitmap for disk '${asked.name}' must match checkpoint name '${bitmap}'`);
  return { ...asked, checkpoint: 'bitmap', bitmap };
}
