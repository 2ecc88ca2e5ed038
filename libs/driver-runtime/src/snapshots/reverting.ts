/** What a revert leaves: the overlays that the domain stands on now, and nothing of the present that was given up. */
import { existsSync, rmSync } from 'node:fs';
import {
  diskImages,
  isChainEnded,
  isSameLocation,
  withImages,
  type Disk,
  type DiskImage,
  type Domain,
} from '@virtbus/domain-xml';
import type { Snapshot, SnapshotDisk } from '@virtbus/domain-xml/snapshot';
import { VirtError } from '@virtbus/shared';
import type { Actor } from '../actor';
import type { GivenUp } from '../record';
import { currentOf, descendFrom, snapshotsOf } from './index';
import { ancestorsOf, diskAt, upon } from './merging';
import { overlaysOf, withDisks } from './overlays';
import { settled } from './request';
import { takenDisks } from './summary';

/**
 * One more overlay for each disk of an external snapshot, beside the image that it is put upon. Throws where no file tells in
 * which folder it could be made. @param now seconds
 */
export function newOverlays(snapshot: Snapshot, now: number): SnapshotDisk[] {
  return snapshot.disks.flatMap((disk): SnapshotDisk[] => {
    if (disk.snapshot !== 'external') return [];
    const { name } = disk;
    const stem = fileOf(snapshot, name).replace(/\.[^./]*$/, '');
    // Images of several disks may differ in their suffix alone.
    const file = `${stem.endsWith(`.${name}`) ? stem.slice(0, -name.length - 1) : stem}.${name}.${now}`;
    return [{ name, snapshot: 'external', type: 'file', source: { hosts: [], seclabels: [], file } }];
  });
}

/** The file that keeps a disk's state, or where that is a device, the overlay that was put upon it. */
function fileOf(snapshot: Snapshot, target: string): string {
  const disk = snapshot.domain?.devices.disks.find((one) => targetOf(one) === target);
  const [state] = disk ? diskImages(disk) : [];
  const image = [state, overlaysOf(snapshot).get(target)].find((one) => one && isRegular(one));
  if (image?.source.file !== undefined) return image.source.file;
  const detail = `cannot make a new overlay for disk '${target}' of snapshot '${snapshot.name}': neither the image of its state nor the overlay upon that is a regular file; make an overlay yourself (qemu-img create -b) and define the domain with it`;
  throw new VirtError('OPERATION_UNSUPPORTED', { detail });
}

/** What lies among the devices of the host would be made in its memory. */
const isRegular = ({ type, source: { file } }: DiskImage): boolean =>
  type === 'file' && file !== undefined && !file.startsWith('/dev/');

/**
 * The disks that the snapshot excludes, as they are now, by target: what was written to them since is no part of what is gone
 * back on, and what they stood on then may be the state of another snapshot by now.
 */
export function excludedDisks(actor: Actor, snapshot: Snapshot): ReadonlyMap<string, Disk> {
  const taken = targetsOf(snapshot);
  const now = settled(actor.document).devices.disks.map((disk) => definedLike(disk, actor.config));
  const excluded = now.filter((disk) => isWritten(disk) && diskImages(disk).length > 0 && !taken.has(targetOf(disk)));
  return new Map(excluded.map((disk) => [targetOf(disk), disk]));
}

/** The definition's words for a disk where it means the same image. */
function definedLike(disk: Disk, config: Domain | undefined): Disk {
  const defined = config?.devices.disks.find((one) => targetOf(one) === targetOf(disk));
  const [own, top] = [disk, defined].map((one) => (one ? diskImages(one)[0] : undefined));
  return defined && own && top && isSameLocation(own, top) ? defined : disk;
}

/** The snapshot's domain with the images that disks keep. */
export const withKept = (domain: Domain, kept: ReadonlyMap<string, Disk>): Domain =>
  withDisks(domain, (disk, target) => {
    const now = kept.get(target);
    return now && isWritten(disk) ? withImages(disk, diskImages(now), isChainEnded(now)) : disk;
  });

/** What is defined once the domain has gone back. */
export const definitionOf = (snapshot: Snapshot & { domain: Domain }, kept: ReadonlyMap<string, Disk>): Domain =>
  withKept(snapshot.inactiveDomain ?? snapshot.domain, kept);

/**
 * Another external snapshot whose state is an image that the domain would write to.
 * @param kept disks that stay on the images that they have
 */
export function writtenOver(
  all: readonly Snapshot[],
  snapshot: Snapshot,
  kept: ReadonlyMap<string, Disk>,
): string | undefined {
  const overlaid = overlaysOf(snapshot);
  const written = (snapshot.domain?.devices.disks ?? [])
    .filter((disk) => isWritten(disk) && !overlaid.has(targetOf(disk)) && !kept.has(targetOf(disk)))
    .flatMap((disk) => diskImages(disk).slice(0, 1));
  const other = all.find(
    (one) =>
      one.name !== snapshot.name && heldBelow(one).some((top) => written.some((own) => isSameLocation(own, top))),
  );
  return other?.name;
}

/** The images that a snapshot has put overlays upon: they are its state. */
function heldBelow(snapshot: Snapshot): DiskImage[] {
  const overlaid = overlaysOf(snapshot);
  const disks = (snapshot.domain?.devices.disks ?? []).filter((disk) => overlaid.has(targetOf(disk)));
  return disks.flatMap((disk) => diskImages(disk).slice(0, 1));
}

const targetOf = ({ target }: Disk): string => target.dev ?? '';

const targetsOf = (snapshot: Snapshot): ReadonlySet<string> => new Set(takenDisks(snapshot).map(({ name }) => name));

const isWritten = ({ readonly, device }: Disk): boolean => !readonly && device !== 'cdrom';

/** Images that hold a snapshot go back to it one after the other. @param cause why one did not */
export function rewoundPartly({ name, disks }: Snapshot, cause: unknown): VirtError {
  const error = VirtError.from(cause);
  if (disks.filter(({ snapshot }) => snapshot === 'internal').length < 2) return error;
  const detail = `some disks may have gone back to snapshot '${name}', and others not: go back to it once more before the domain is started: ${error.message}`;
  return new VirtError('OPERATION_FAILED', { detail }, { cause });
}

/**
 * Overlays that hold no state of a snapshot: of the present, and of one that was given up before and has stayed. Once the domain has gone back, nothing of it stands on those of the disks that the snapshot takes, but what a state has
 * below it that its document does not tell of (`untoldStates`).
 */
export function abandonedBy(actor: Actor, snapshot: Snapshot): GivenUp[] {
  const { all } = snapshotsOf(actor);
  const taken = targetsOf(snapshot);
  const states = all.map(({ domain }) => domain);
  const put = all.flatMap((one) =>
    [...upon(one)].flatMap(([target, image]): GivenUp[] => {
      const disk = diskAt(one.domain, target);
      return disk ? [{ upon: one.name, disk, image }] : [];
    }),
  );
  const before = actor.record.snapshot?.givenUp ?? [];
  return each([...put, ...before]).filter(({ disk, image }) => taken.has(targetOf(disk)) && !isNamed(states, image));
}

/** Of an overlay that was told of twice, once. */
const each = (all: readonly GivenUp[]): GivenUp[] =>
  all.filter(({ image }, n) => all.findIndex((one) => isSameLocation(one.image, image)) === n);

const isThere = ({ image: { source } }: GivenUp): boolean => source.file !== undefined && existsSync(source.file);

/**
 * Disks of snapshots whose states may stand on what is abandoned: a definition names what lies below its image or does not, and
 * a snapshot between the two may be described no longer. What they stand on tells.
 */
export function untoldStates(actor: Actor, abandoned: readonly GivenUp[]): Disk[] {
  const book = snapshotsOf(actor);
  const found = abandoned.flatMap(({ upon: below, disk }) => {
    const above = ancestorsOf(book, below);
    const states = book.all.flatMap((one) => (above.has(one.name) ? [] : (takenDiskAt(one, targetOf(disk)) ?? [])));
    const [state] = diskImages(disk);
    return states.filter((one) => !isChainEnded(one) && state && !names(one, state));
  });
  return [...new Set(found)];
}

const takenDiskAt = (snapshot: Snapshot, target: string): Disk | undefined =>
  targetsOf(snapshot).has(target) ? diskAt(snapshot.domain, target) : undefined;

const names = (disk: Disk, image: DiskImage): boolean => diskImages(disk).some((one) => isSameLocation(one, image));

/**
 * The definition stands on the snapshot: the record and the descriptions follow. Can be done again after a crash.
 * @param free files that nobody stands on: of what is abandoned only these are removed
 */
export function finishRevert(
  actor: Actor,
  snapshot: Snapshot,
  revertDisks: SnapshotDisk[],
  free: ReadonlySet<string>,
): void {
  const book = snapshotsOf(actor);
  const before = currentOf(actor);
  const left = before === undefined ? undefined : book.find(before);
  const abandoned = abandonedBy(actor, snapshot);
  if (left) book.keep({ ...left, revertDisks: [] });
  const { name } = snapshot;
  book.keep({ ...(book.find(name) ?? snapshot), revertDisks });
  for (const { image } of abandoned) if (!isNamed([actor.config], image)) dropImage(actor, image, free);
  descendFrom(actor, name, each([...abandoned, ...(actor.record.snapshot?.givenUp ?? [])]).filter(isThere));
  actor.emit({ class: 'snapshot', type: 'reverted', data: { name } });
}

/** Does a disk of one of them stand on it, as far as its document tells? One of a state that nobody names any more may be below another. */
const isNamed = (domains: readonly (Domain | undefined)[], image: DiskImage): boolean =>
  domains.flatMap((domain) => domain?.devices.disks ?? []).some((disk) => names(disk, image));

function dropImage({ log }: Actor, { source: { file } }: DiskImage, free: ReadonlySet<string>): void {
  if (file === undefined) return;
  if (free.has(file)) rmSync(file, { force: true });
  else log.info({ file }, 'an overlay of what was given up stays: it is not known that nobody stands on it');
}
