/** From what a user asks for to a backup that can be begun, and the images that it needs. */
import { formatDevice, type Disk, type Domain } from '@virtbus/domain-xml';
import { alignBackup, parseBackup, storeOf, type Backup, type BackupDisk } from '@virtbus/domain-xml/backup';
import { VirtError, type beginBackup, type ImageNeed, type Request } from '@virtbus/shared';
import { beganAt } from '../began-at';
import { checkpointsOf, markedDisks } from '../checkpoints';
import { requestedCheckpoint } from '../checkpoints/request';
import type { Context } from '../ops/op';
import type { BackupAsk } from './facet';

/** Every refusal that needs no look at the guest. */
export function requestedBackup(context: Context, request: Request<typeof beginBackup>): BackupAsk {
  const { actor, call } = context;
  const now = beganAt(actor, call.id);
  const asked = parseBackup(request.xml);
  const checkpoint =
    request.checkpoint === undefined ? undefined : requestedCheckpoint(context, request.checkpoint, now);
  const backup = alignBackup(asked, actor.document, checkpoint?.name ?? `${now}`);
  for (const disk of backup.disks) checkBeginning(context, disk);
  return { backup, checkpoint, reuse: request.reuseExternal };
}

/** The checkpoint that a disk's changes are copied since has to be known, and to be of that disk. */
function checkBeginning({ actor }: Context, { name, incremental }: BackupDisk): void {
  if (incremental === undefined) return;
  if (markedDisks(checkpointsOf(actor).get(incremental)).includes(name)) return;
  throw new VirtError('CHECKPOINT_INCONSISTENT', {
    detail: `disk '${name}' is not part of checkpoint '${incremental}': back it up whole`,
  });
}

/** An empty file for each disk, or the image that is there. */
export function backupNeeds(domain: Domain, { backup, reuse }: BackupAsk): ImageNeed[] {
  const store = storeOf(backup.mode);
  return backup.disks.flatMap((asked): ImageNeed[] => {
    const disk = domain.devices.disks.find(({ target }) => target.dev === asked.name);
    if (!asked.backup || !disk) return [];
    const described = formatDevice({ list: 'disks', value: storeDisk(disk, asked, backup.mode) });
    return [{ name: `${store}:${asked.name}`, target: asked.name, disk: described, use: reuse ? 'open' : 'create' }];
  });
}

/** Where the images that are written to are to be, by the names of their needs. */
export const placesOf = ({ backup: { mode, disks } }: BackupAsk): ReadonlyMap<string, Disk['source']> =>
  new Map(disks.map((asked) => [`${storeOf(mode)}:${asked.name}`, asked[storeOf(mode)]]));

/** The image that is written to, as a disk of its own at the same target. */
export function storeDisk({ target }: Disk, asked: BackupDisk, mode: Backup['mode']): Disk {
  const { type = 'file', driver } = asked;
  return {
    type,
    device: 'disk',
    driver: { name: 'qemu', type: driver?.type ?? 'qcow2' },
    source: asked[storeOf(mode)],
    backingStore: {},
    target,
  };
}
