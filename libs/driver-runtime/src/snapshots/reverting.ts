/** What a revert leaves: the overlays that the domain stands on now, and nothing of the present that was given up. */
import { rmSync } from 'node:fs';
import { diskImages, isSameLocation, type DiskImage, type Domain } from '@virtbus/domain-xml';
import type { Snapshot, SnapshotDisk } from '@virtbus/domain-xml/snapshot';
import type { Actor } from '../actor';
import { upon } from './deletion';
import { currentOf, snapshotsOf } from './index';

/** One more overlay for each disk of an external snapshot, beside the image that it is put upon. @param now seconds */
export function newOverlays({ disks, domain, name }: Snapshot, now: number): SnapshotDisk[] {
  return disks.flatMap((disk): SnapshotDisk[] => {
    if (disk.snapshot !== 'external') return [];
    const base = domain?.devices.disks.find(({ target }) => target.dev === disk.name);
    const path = base?.source?.file ?? base?.source?.dev ?? disk.source?.file ?? name;
    const file = `${path.replace(/\.[^./]*$/, '')}.${now}`;
    return [{ name: disk.name, snapshot: 'external', type: 'file', source: { hosts: [], seclabels: [], file } }];
  });
}

/**
 * The definition stands on the snapshot: the record and the descriptions follow. Can be done again after a crash.
 * @param below files that the domain stands on now; where they are not known nothing is removed
 */
export function finishRevert(
  actor: Actor,
  snapshot: Snapshot,
  revertDisks: SnapshotDisk[],
  below: ReadonlySet<string> | undefined,
): void {
  const book = snapshotsOf(actor);
  const before = currentOf(actor);
  const left = before === undefined ? undefined : book.find(before);
  const abandoned = left ? [...upon(left).values()] : [];
  if (left) book.keep({ ...left, revertDisks: [] });
  const { name } = snapshot;
  book.keep({ ...(book.find(name) ?? snapshot), revertDisks });
  actor.record.snapshot = { current: name };
  for (const image of abandoned) if (below && !isNamed(actor, image)) dropImage(image, below);
  actor.emit({ class: 'snapshot', type: 'reverted', data: { name } });
}

/** Does anything that stays stand on it? The overlays upon a state are named by the states that were taken of them. */
function isNamed(actor: Actor, image: DiskImage): boolean {
  const tops = (domain: Domain | undefined): (DiskImage | undefined)[] =>
    (domain?.devices.disks ?? []).map((disk) => diskImages(disk)[0]);
  const named = [...tops(actor.config), ...snapshotsOf(actor).all.flatMap((one) => tops(one.domain))];
  return named.some((top) => top !== undefined && isSameLocation(top, image));
}

function dropImage({ source }: DiskImage, below: ReadonlySet<string>): void {
  if (source.file !== undefined && !below.has(source.file)) rmSync(source.file, { force: true });
}
