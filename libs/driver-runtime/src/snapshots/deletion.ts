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
import { ancestorsOf, diskAt, mergingOf, refuseKept, refuseLeft, topOf, upon, type Merging } from './merging';
import { overlaysOf, withDisks } from './overlays';
import type { Going } from './removal';
import { refuseSaved } from './request';
import { newOverlays } from './reverting';
import { isExternal, takenDisks } from './summary';

export interface Deletion {
  /** Children before their parents. */
  snapshots: Snapshot[];
  /** Overlays within what the domain stands on. */
  merging: Merging[];
  /** Overlays of snapshots that stay although a deletion of them was begun: they may have been merged. */
  before: Merging[];
  /** Files of states that nothing of the domain stands on then. */
  files: string[];
  /** Those of them that are images: others may stand on them. */
  going: Going[];
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
  const going: Going[] = [];
  for (const snapshot of chosen) {
    if (snapshot.memory?.file !== undefined) files.push(snapshot.memory.file);
    if (!isExternal(snapshot)) continue;
    const left = book.childrenOf(snapshot.name).filter(({ name }) => !names.has(name));
    if (ancestors.has(snapshot.name)) {
      refuseBranches(snapshot, left, currentOf(actor));
      // The overlay of a disk that was detached stays with it.
      const merged = mergingOf(snapshot, standingUpon(book, snapshot, ancestors));
      merging.push(...merged.filter(({ target }) => diskAt(actor.document, target)));
    } else {
      if (left.length > 0)
        unsupported('deletion of non-leaf external snapshot that is not in active chain is not supported');
      going.push(...onlyOf(book, snapshot, names));
    }
  }
  if (merging.length > 0 || files.length > 0 || going.length > 0) refuseUnknown(book);
  const staying = book.all.filter(({ name }) => !names.has(name));
  refuseKept(merging, staying);
  refuseLeft(merging, book, { ancestors, names, now: actor.document });
  // Also of those that stay.
  for (const snapshot of book.all) if (!isExternal(snapshot)) refuseMerged(merging, snapshot);
  for (const snapshot of chosen) if (!isExternal(snapshot)) refuseBuried(standingOn(actor.document, merging), snapshot);
  if (merging.length > 0 || going.length > 0) refuseSaved(actor);
  files.push(...going.flatMap(({ image }) => image.source.file ?? []));
  const before = staying.filter(isHalfDeleted).flatMap((one) => mergingOf(one));
  return { snapshots: [...chosen], merging, before, files, going };
}

/** The state of another snapshot may be in any of the images, or stand on them. */
function refuseUnknown({ damaged: [path] }: SnapshotBook): void {
  if (path === undefined) return;
  const detail = `another snapshot may keep what would be removed: its description cannot be read: ${path}; mend that file or take it away, or delete the metadata alone (--metadata)`;
  throw new VirtError('OPERATION_FAILED', { detail });
}

const isHalfDeleted = ({ disks, domain }: Snapshot): boolean =>
  domain !== undefined && disks.some(({ snapshotDeleteInProgress }) => snapshotDeleteInProgress);

/** Only what an image shows goes into the one below it: what an internal snapshot keeps there would go with its file. */
function refuseMerged(merging: readonly Merging[], snapshot: Snapshot): void {
  for (const { name: target } of takenDisks(snapshot)) {
    const top = topOf(snapshot.domain, target);
    if (top && merging.some((one) => one.target === target && isSameLocation(one.overlay, top)))
      unsupported(
        `internal snapshot '${snapshot.name}' is within the image of disk '${target}' that would be merged; delete it first, or the metadata alone`,
      );
  }
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

function refuseBranches({ name }: Snapshot, left: readonly Snapshot[], current: string | undefined): void {
  if (name === current && left.length > 0)
    unsupported('deletion of active external snapshot that is not a leaf snapshot is not supported');
  if (left.length > 1)
    unsupported(`deletion of external snapshot '${name}' with more than one child snapshot is not supported`);
}

/** The overlays upon a state that the present stands on: a return to what follows leaves those of the last return to this. */
function standingUpon(
  book: SnapshotBook,
  snapshot: Snapshot,
  ancestors: ReadonlySet<string>,
): ReadonlyMap<string, DiskImage> {
  const next = book.childrenOf(snapshot.name).find(({ name }) => ancestors.has(name));
  const overlays = [...upon(snapshot)].map(([target, overlay]) => {
    const state = topOf(next?.domain, target);
    return [target, state && isOverlayOf(snapshot, target, state) ? state : overlay] as const;
  });
  return new Map(overlays);
}

/** Made as the snapshot was taken, by the last return to it, or by one before that, of which only the name of the file tells. */
function isOverlayOf(snapshot: Snapshot, target: string, image: DiskImage): boolean {
  const { disks, revertDisks } = snapshot;
  const known = [disks, revertDisks].map((some) => overlaysOf({ disks: some }).get(target));
  if (known.some((one) => one && isSameLocation(one, image))) return true;
  const [, made] = /\.(\d+)$/.exec(image.source.file ?? '') ?? [];
  // Its own state may have been made by a return to another and have such a name.
  if (made === undefined || isTop(snapshot.domain, target, image)) return false;
  try {
    const own = { ...snapshot, disks: disks.filter(({ name }) => name === target) };
    return newOverlays(own, Number(made)).some(({ source }) => source?.file === image.source.file);
  } catch {
    return false; // None was ever made upon a device.
  }
}

/** Images that hold this state alone: made for another snapshot, and named by nobody who stays. */
function onlyOf(book: SnapshotBook, snapshot: Snapshot, going: ReadonlySet<string>): Going[] {
  const parent = book.parentOf(snapshot);
  if (!parent) return [];
  const staying = book.all.filter(({ name }) => !going.has(name));
  return [...overlaysOf(parent).keys()].flatMap((target) => {
    const disk = diskAt(snapshot.domain, target);
    const image = topOf(snapshot.domain, target);
    if (!disk || image?.source.file === undefined || !isOverlayOf(parent, target, image)) return [];
    const named = staying.some(
      (one) => isTop(one.domain, target, image) || same([...upon(one)], target, image, one.name === parent.name),
    );
    return named ? [] : [{ disk, image }];
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
