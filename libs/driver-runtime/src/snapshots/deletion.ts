/** Deleting snapshots as a plan: which of their images are merged, which files go, and what other descriptions say afterwards. */
import {
  diskImages,
  isChainEnded,
  isSameLocation,
  withImages,
  type Disk,
  type DiskImage,
  type Domain,
} from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import { VirtError } from '@virtbus/shared';
import type { Actor } from '../actor';
import type { SnapshotBook } from './book';
import { currentOf, snapshotsOf } from './index';
import { overlaysOf, withDisks } from './overlays';
import { isExternal, takenDisks } from './summary';

/** An overlay that goes, with what it is merged into. */
export interface Merging {
  target: string;
  overlay: DiskImage;
  below: DiskImage;
}

export interface Deletion {
  /** Children before their parents. */
  snapshots: Snapshot[];
  /** Overlays within what the domain stands on. */
  merging: Merging[];
  /** Files of states that nothing stands on then. */
  files: string[];
}

const unsupported = (detail: string): never => {
  throw new VirtError('OPERATION_UNSUPPORTED', { detail });
};

/** Throws what keeps them from being deleted. @param chosen children before their parents */
export function planDeletion(actor: Actor, chosen: readonly Snapshot[]): Deletion {
  const book = snapshotsOf(actor);
  const names = new Set(chosen.map(({ name }) => name));
  const ancestors = ancestorsOf(book, currentOf(actor));
  const merging: Merging[] = [];
  const files: string[] = [];
  for (const snapshot of chosen) {
    if (snapshot.memory?.file !== undefined) files.push(snapshot.memory.file);
    if (!isExternal(snapshot)) continue;
    const left = book.childrenOf(snapshot.name).filter(({ name }) => !names.has(name));
    if (ancestors.has(snapshot.name)) {
      refuseBranches(snapshot, left, currentOf(actor));
      merging.push(...mergingOf(snapshot));
    } else {
      if (left.length > 0)
        unsupported('deletion of non-leaf external snapshot that is not in active chain is not supported');
      files.push(...onlyOf(book, snapshot, names));
    }
  }
  for (const snapshot of chosen) if (!isExternal(snapshot)) refuseBuried(standingOn(actor.document, merging), snapshot);
  return { snapshots: [...chosen], merging, files };
}

/** What an internal snapshot keeps is in an image that something else stands on by now. */
function refuseBuried(now: Domain, snapshot: Snapshot): void {
  for (const { name: target } of takenDisks(snapshot)) {
    const [then, top] = [topOf(snapshot.domain, target), topOf(now, target)];
    if (then && top && !isSameLocation(then, top))
      unsupported(
        `internal snapshot '${snapshot.name}' is within an image of disk '${target}' that is not the active one; delete the external snapshots that were taken later first`,
      );
  }
}

/** Itself and those above it. */
export function ancestorsOf(book: SnapshotBook, name: string | undefined): ReadonlySet<string> {
  const found = new Set<string>();
  for (
    let one = name === undefined ? undefined : book.find(name);
    one && !found.has(one.name);
    one = book.parentOf(one)
  )
    found.add(one.name);
  return found;
}

function refuseBranches({ name }: Snapshot, left: readonly Snapshot[], current: string | undefined): void {
  if (name === current && left.length > 0)
    unsupported('deletion of active external snapshot that is not a leaf snapshot is not supported');
  if (left.length > 1)
    unsupported(`deletion of external snapshot '${name}' with more than one child snapshot is not supported`);
}

/** The overlays that were put upon a state: by taking it, or by the last revert to it. */
export const upon = (snapshot: Snapshot): ReadonlyMap<string, DiskImage> =>
  overlaysOf({ disks: snapshot.revertDisks.length > 0 ? snapshot.revertDisks : snapshot.disks });

function mergingOf(snapshot: Snapshot): Merging[] {
  return [...upon(snapshot)].map(([target, overlay]) => {
    const below = topOf(snapshot.domain, target);
    if (below) return { target, overlay, below };
    const detail = `snapshot '${snapshot.name}' does not say what disk '${target}' stood on; delete its metadata alone`;
    throw new VirtError('OPERATION_INVALID', { detail });
  });
}

/** Images that hold this state alone: made for another snapshot, and named by nobody who stays. */
function onlyOf(book: SnapshotBook, snapshot: Snapshot, going: ReadonlySet<string>): string[] {
  const parent = book.parentOf(snapshot);
  if (!parent) return [];
  const staying = book.all.filter(({ name }) => !going.has(name));
  return [...overlaysOf(parent)].flatMap(([target, overlay]) => {
    const own = topOf(snapshot.domain, target);
    const file = overlay.source.file;
    if (!own || file === undefined || !isSameLocation(own, overlay)) return [];
    const named = staying.some(
      (one) => isTop(one.domain, target, overlay) || same([...upon(one)], target, overlay, one.name === parent.name),
    );
    return named ? [] : [file];
  });
}

/** A parent that was reverted to since stands on other overlays than it was taken with. */
function same(overlays: [string, DiskImage][], target: string, image: DiskImage, isParent: boolean): boolean {
  return !isParent && overlays.some(([name, overlay]) => name === target && isSameLocation(overlay, image));
}

const isTop = (domain: Domain | undefined, target: string, image: DiskImage): boolean => {
  const top = topOf(domain, target);
  return top !== undefined && isSameLocation(top, image);
};

function topOf(domain: Domain | undefined, target: string): DiskImage | undefined {
  const disk = domain?.devices.disks.find((one) => one.target.dev === target);
  return disk && diskImages(disk)[0];
}

/** Depths of what is merged, a merge a disk. @param chain the images of a disk, top first */
export function depthsOf(
  merging: readonly Merging[],
  chain: (target: string) => readonly DiskImage[],
): { target: string; top: number; base: number }[] {
  const targets = [...new Set(merging.map(({ target }) => target))];
  return targets.flatMap((target) => {
    const images = chain(target);
    const depths = merging
      .filter((one) => one.target === target)
      .map(({ overlay }) => images.findIndex((image) => isSameLocation(image, overlay)))
      .filter((depth) => depth >= 0);
    if (depths.length === 0) return []; // Merged before, by a deletion that was interrupted.
    return [{ target, top: Math.min(...depths), base: Math.max(...depths) + 1 }];
  });
}

/** A description that named a merged image names what it was merged into. */
export function withoutMerged(snapshot: Snapshot, merging: readonly Merging[]): Snapshot {
  const { domain, inactiveDomain } = snapshot;
  return {
    ...snapshot,
    ...(domain ? { domain: standingOn(domain, merging) } : {}),
    ...(inactiveDomain ? { inactiveDomain: standingOn(inactiveDomain, merging) } : {}),
  };
}

/** The domain with what is left of its disks' images. */
export const standingOn = (domain: Domain, merging: readonly Merging[]): Domain =>
  withDisks(domain, (disk, target) => moved(disk, target, merging));

/** What is merged goes wherever the disk names it; what takes the place of its own image is looked up from there on. */
function moved(disk: Disk, target: string, merging: readonly Merging[]): Disk {
  const mergedAt = (image: DiskImage | undefined): Merging | undefined =>
    image && merging.find((one) => one.target === target && isSameLocation(one.overlay, image));
  const [top, ...named] = diskImages(disk);
  const gone = mergedAt(top);
  if (gone) return moved(withImages(disk, [gone.below], false), target, merging);
  const left = named.filter((image) => !mergedAt(image));
  return top && left.length < named.length ? withImages(disk, [top, ...left], isChainEnded(disk)) : disk;
}
