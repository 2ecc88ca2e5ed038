/**
 * Disks whose image is missing when their guest starts: which it can do without, and the document without them.
 * (facts: backing-chains-xml §9)
 *
 *               cdrom, floppy          hard disk
 *   mandatory   –                      –
 *   requisite   empty on a restore     not allowed
 *   optional    empty                  left out of a boot; a restored state expects it
 */
import { isRemovable, type Disk } from './elements/disk';
import type { Domain } from './elements/domain';
import { isEmptyDrive } from './qemu/block-chain';
import { copyModel } from './schema';
import { assignAliases } from './passes/aliases';

/** `restore`: from a state that knows the guest's disks. */
export type StartKind = 'boot' | 'restore';

/** A disk that its guest started without. */
export interface DroppedDisk {
  target: string;
  alias: string;
  /** Its path, or `pool/volume`. */
  source: string;
  /** The drive stays, without a medium. */
  emptied: boolean;
}

/** Targets of the disks that a start can do without. */
export function dispensableDisks({ devices }: Domain, start: StartKind): string[] {
  const can = devices.disks.filter((disk) => !isEmptyDrive(disk) && isDispensable(disk, start));
  return can.flatMap(({ target }) => target.dev ?? []);
}

/** A start can do without its image. */
export function isDispensable(disk: Disk, start: StartKind): boolean {
  switch (disk.source?.startupPolicy) {
    case 'optional':
      return isRemovable(disk) || start === 'boot';
    case 'requisite':
      return isRemovable(disk) && start === 'restore';
    default:
      return false;
  }
}

/** The domain with these of its disks gone, these of its drives empty. */
export function withoutDisks(domain: Domain, missing: ReadonlySet<string>): { domain: Domain; dropped: DroppedDisk[] } {
  if (missing.size === 0) return { domain, dropped: [] };
  const isMissing = (disk: Disk): boolean => missing.has(disk.target.dev ?? '') && !isEmptyDrive(disk);
  const dropped = assignAliases(domain).devices.disks.filter(isMissing).map(described);
  const copy = copyModel(domain);
  const { devices } = copy;
  devices.disks = devices.disks.flatMap((disk) => (!isMissing(disk) ? disk : isRemovable(disk) ? emptied(disk) : []));
  return { domain: copy, dropped };
}

function described(disk: Disk): DroppedDisk {
  const { file, dev, dir, pool, volume } = disk.source ?? {};
  const source = disk.type === 'volume' ? `${pool}/${volume}` : (file ?? dev ?? dir ?? '');
  return { target: disk.target.dev ?? '', alias: disk.alias?.name ?? '', source, emptied: isRemovable(disk) };
}

function emptied(disk: Disk): Disk {
  const { source: _source, backingStore: _below, ...drive } = disk;
  return { ...drive, type: 'file' };
}
