/**
 * Overlays that go with their snapshots, against the chain that the disk really has: pulls, copies and commits change chains
 * and leave descriptions as they are. What does not fit is refused: it would be merged into an image that it does not stand on,
 * or count as merged, and its file would go with all that it holds.
 */
import { realpathSync } from 'node:fs';
import { diskImages, isSameLocation, type Disk, type DiskImage, type Domain } from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import { VirtError } from '@virtbus/shared';
import type { SnapshotBook } from './book';
import type { Merge } from './facet';
import { overlaysOf } from './overlays';
import { takenDisks } from './summary';

/** An overlay that goes, with what it is merged into. */
export interface Merging {
  snapshot: string;
  target: string;
  overlay: DiskImage;
  below: DiskImage;
  /** A deletion that was interrupted may have merged it. */
  begun: boolean;
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

/** The overlays that were put upon a state: by taking it, or by the last revert to it. */
export const upon = (snapshot: Snapshot): ReadonlyMap<string, DiskImage> =>
  overlaysOf({ disks: snapshot.revertDisks.length > 0 ? snapshot.revertDisks : snapshot.disks });

export const diskAt = (domain: Domain | undefined, target: string): Disk | undefined =>
  domain?.devices.disks.find((one) => one.target.dev === target);

export function topOf(domain: Domain | undefined, target: string): DiskImage | undefined {
  const disk = diskAt(domain, target);
  return disk && diskImages(disk)[0];
}

export const isBegun = ({ disks }: Snapshot, target: string): boolean =>
  disks.some(({ name, snapshotDeleteInProgress }) => name === target && snapshotDeleteInProgress === true);

/** @param overlays that were put upon its state */
export function mergingOf(snapshot: Snapshot, overlays = upon(snapshot)): Merging[] {
  const { name, domain } = snapshot;
  return [...overlays].map(([target, overlay]) => {
    const below = topOf(domain, target);
    if (below) return { snapshot: name, target, overlay, below, begun: isBegun(snapshot, target) };
    const detail = `snapshot '${name}' does not say what disk '${target}' stood on; delete its metadata alone`;
    throw new VirtError('OPERATION_INVALID', { detail });
  });
}

/**
 * Depths of what is merged, a merge a disk; none for what an interrupted deletion has merged.
 * @param chain the images of a disk, top first
 * @param before overlays of snapshots that stay, whose deletion was interrupted
 */
export function depthsOf(
  merging: readonly Merging[],
  chain: (target: string) => readonly DiskImage[],
  before: readonly Merging[] = [],
): Merge[] {
  const targets = [...new Set(merging.map(({ target }) => target))];
  return targets.flatMap((target) => {
    const of = (all: readonly Merging[]) => all.filter((one) => one.target === target);
    return depthOf(target, of(merging), chain(target), of(before)) ?? [];
  });
}

function depthOf(
  target: string,
  merging: readonly Merging[],
  images: readonly DiskImage[],
  before: readonly Merging[],
): Merge | undefined {
  const at = (image: DiskImage): number => images.findIndex((one) => isSameLocation(one, image));
  const merged = [...merging, ...before].filter(({ begun, overlay }) => begun && at(overlay) < 0);
  const left = (image: DiskImage, steps = merged.length): DiskImage => {
    const gone = steps > 0 ? merged.find(({ overlay }) => isSameLocation(overlay, image)) : undefined;
    return gone ? left(gone.below, steps - 1) : image;
  };
  const depths: number[] = [];
  for (const one of merging) {
    const depth = at(one.overlay);
    const below = left(one.below);
    const stands = depth < 0 ? one.begun && images.some((image) => isBelow(image, below)) : images.length > depth + 1;
    if (!stands) throw changed(one);
    if (depth < 0) continue;
    if (!isBelow(images[depth + 1]!, below)) throw changed(one, below);
    depths.push(depth);
  }
  if (depths.length === 0) return undefined;
  const [top, bottom] = [Math.min(...depths), Math.max(...depths)];
  if (bottom - top + 1 === new Set(depths).size) return { target, top, base: bottom + 1 };
  const detail = `between the overlays of disk '${target}' that would be merged lie others that stay; delete the snapshots one at a time`;
  throw new VirtError('OPERATION_UNSUPPORTED', { detail });
}

function changed({ snapshot, target, overlay }: Merging, below?: DiskImage): VirtError {
  const on = `the overlay ${placeOf(overlay)} of snapshot '${snapshot}'`;
  const stands = below ? `${placeOf(below)} below ${on}` : on;
  const detail = `disk '${target}' no longer stands on ${stands} (a pull, copy or commit has changed it); delete the metadata alone (--metadata)`;
  return new VirtError('OPERATION_UNSUPPORTED', { detail });
}

const placeOf = ({ source: { file, dev, pool, volume, name } }: DiskImage): string =>
  file ?? dev ?? (pool !== undefined && volume !== undefined ? `${pool}/${volume}` : (name ?? 'an image'));

/** What lies there may be told by another name: through a link, or as a volume, of which only its pool tells where it is. */
function isBelow(image: DiskImage, below: DiskImage): boolean {
  if (isSameLocation(image, below)) return true;
  if (below.type === 'volume') return image.type !== 'volume' && image.source.volume === undefined;
  const [one, other] = [image, below].map(realPath);
  return one !== undefined && one === other;
}

function realPath({ source: { file, dev } }: DiskImage): string | undefined {
  try {
    return realpathSync(file ?? dev ?? '');
  } catch {
    return undefined;
  }
}

/** Throws when an overlay would be written into the state of a snapshot that stays. */
export function refuseKept(merging: readonly Merging[], staying: readonly Snapshot[]): void {
  for (const { snapshot, target, below } of merging) {
    const other = staying.find((one) => {
      const state = overlaysOf(one).has(target) && !isBegun(one, target) ? topOf(one.domain, target) : undefined;
      return state !== undefined && isSameLocation(state, below);
    });
    if (!other) continue;
    const detail = `the overlay of snapshot '${snapshot}' would be merged into ${placeOf(below)}, which is the state of disk '${target}' in snapshot '${other.name}'; delete that first, or the metadata alone (--metadata)`;
    throw new VirtError('OPERATION_UNSUPPORTED', { detail });
  }
}

interface Line {
  /** The snapshots that the present descends from. */
  ancestors: ReadonlySet<string>;
  /** Those that go. */
  names: ReadonlySet<string>;
  now: Domain;
}

/**
 * Throws when the state of a branch that was left stands on an overlay that goes: whatever follows on a snapshot does, unless it
 * is in an image that the present stands on, too.
 */
export function refuseLeft(merging: readonly Merging[], book: SnapshotBook, { ancestors, names, now }: Line): void {
  const line = book.all.filter(({ name }) => ancestors.has(name));
  for (const { snapshot, target, overlay } of merging) {
    const disk = diskAt(now, target);
    const present = [...(disk ? diskImages(disk) : []), ...line.flatMap(({ domain }) => topOf(domain, target) ?? [])];
    const left = book.descendantsOf(snapshot).find((one) => {
      if (ancestors.has(one.name) || names.has(one.name)) return false;
      const state = takenDisks(one).some(({ name }) => name === target) ? topOf(one.domain, target) : undefined;
      return state !== undefined && !present.some((image) => isSameLocation(image, state));
    });
    if (!left) continue;
    const detail = `the state of disk '${target}' in snapshot '${left.name}' stands on the overlay ${placeOf(overlay)} of snapshot '${snapshot}'; delete that first, or the metadata alone (--metadata)`;
    throw new VirtError('OPERATION_UNSUPPORTED', { detail });
  }
}
