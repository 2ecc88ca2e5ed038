/**
 * Which leases a domain's disks need: the active layer alone unless the disk only reads it or shares it, every layer
 * below shared. A data file goes with its image.
 */
import { describeLocation, identityKey } from '@virtbus/disk-image';
import type { Disk } from '@virtbus/domain-xml';
import {
  diskOfNeed,
  VirtError,
  type ImageIdentity,
  type ImageLease,
  type LeaseMode,
  type Location,
} from '@virtbus/shared';
import type { ResolvedDisk } from '../chains/resolve';

/** Throws when two disks of the domain cannot have an image together. */
export function leasesOf(disks: readonly ResolvedDisk[]): ImageLease[] {
  const leases = disks.flatMap(leasesOfOne);
  for (const one of leases.filter(({ mode }) => mode === 'exclusive')) {
    const other = leases.find((lease) => lease.identity === one.identity && lease !== one && !ofOneNeed(lease, one));
    if (other) throw twice(one, other);
  }
  return leases;
}

/** What an operation needs of a disk and what the disk stands on may be one image; two images of one chain may not. */
const ofOneNeed = (a: ImageLease, b: ImageLease): boolean =>
  a.target !== b.target && diskOfNeed(a.target) === diskOfNeed(b.target);

/** The leases of one disk, or of one need of an operation on it. */
export function leasesOfOne({ target, disk, chain, writes }: ResolvedDisk): ImageLease[] {
  return (chain?.layers ?? []).flatMap(({ index, location, identity, dataFile }) => {
    const mode = index > 0 ? 'shared' : writes ? 'exclusive' : modeOf(disk);
    return [
      lease(target, mode, location, identity),
      lease(target, mode, dataFile?.location, dataFile?.identity),
    ].flat();
  });
}

const modeOf = (disk: Disk): LeaseMode =>
  disk.readonly || disk.shareable || disk.device === 'cdrom' ? 'shared' : 'exclusive';

function lease(target: string, mode: LeaseMode, at?: Location, identity?: ImageIdentity): ImageLease[] {
  if (!at || !identity) return [];
  const local = identity.kind === 'file' || identity.kind === 'device';
  return [{ identity: identityKey(identity), path: describeLocation(at), mode, target, fleet: !local }];
}

function twice(one: ImageLease, other: ImageLease): VirtError {
  const disks = one.target === other.target ? `disk ${one.target} twice` : `disks ${one.target} and ${other.target}`;
  const detail = `image '${one.path}' would be used by ${disks}, and ${one.target} writes to it; it needs an image of its own`;
  return new VirtError('OPERATION_FAILED', { detail });
}
