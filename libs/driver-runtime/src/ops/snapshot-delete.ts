/** Deleting snapshots: their descriptions, and what of their images nobody needs any longer. */
import { existsSync, rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import {
  diskImages,
  formatDevice,
  isEmptyDrive,
  isSameLocation,
  withImages,
  type Disk,
  type DiskImage,
} from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import { deleteSnapshot, VirtError, type ChainDocument, type ImageNeed, type Request } from '@virtbus/shared';
import type { Actor } from '../actor';
import { facet } from '../driver';
import { whileItRuns } from '../ended-meanwhile';
import { chainsOf, heldBy, hold } from '../images';
import { currentOf, descendFrom, snapshotsOf } from '../snapshots';
import type { Merge } from '../snapshots/facet';
import { planDeletion, standingOn, withoutMerged, type Deletion } from '../snapshots/deletion';
import { depthsOf } from '../snapshots/merging';
import { partedFiles, removalNeeds } from '../snapshots/removal';
import { isExternal, takenDisks } from '../snapshots/summary';
import { abandon, beginDoing, completeDeletion } from '../snapshots/unfinished';
import { located } from '../snapshots/volumes';
import { planned, type Context } from './op';

type DeleteRequest = Request<typeof deleteSnapshot>;

export const remove = planned(
  deleteSnapshot,
  'any',
  {
    plan: (request, context) => {
      const chosen = chosenBy(context.actor, request);
      return request.metadata ? [] : imageNeeds(context, planDeletion(context.actor, chosen));
    },
    run: async (request, context) => {
      const { actor } = context;
      const chosen = chosenBy(actor, request);
      const metadata: Deletion = { snapshots: chosen, merging: [], before: [], files: [], going: [] };
      const deletion = request.metadata ? metadata : planDeletion(actor, chosen);
      if (!request.metadata) await removeImages(context, deletion);
      forget(context, deletion);
      return { domain: actor.summary() };
    },
  },
  { async: 'snapshot' },
);

/** Children before their parents. */
function chosenBy(actor: Actor, { name, children, childrenOnly }: DeleteRequest): Snapshot[] {
  const book = snapshotsOf(actor);
  const root = book.get(name);
  if (children && childrenOnly) {
    throw new VirtError('INVALID_ARG', { detail: 'children and childrenOnly exclude each other' });
  }
  const below = children || childrenOnly ? book.descendantsOf(name).reverse() : [];
  return childrenOnly ? below : [...below, root];
}

const liveImages =
  (actor: Actor) =>
  (target: string): DiskImage[] => {
    const disk = actor.document.devices.disks.find((one) => one.target.dev === target);
    return disk ? diskImages(disk) : [];
  };

async function imageNeeds({ host, actor }: Context, deletion: Deletion): Promise<ImageNeed[]> {
  const facility = facet(host.implementation, 'snapshots');
  const removed = removalNeeds(deletion.going);
  if (actor.guest) {
    const merges = depthsOf(deletion.merging, liveImages(actor), deletion.before);
    return [...(await facility.mergeNeeds(actor.guest, merges)), ...removed];
  }
  const need = (name: string, target: string, use: ImageNeed['use'], disk = diskAt(actor, target)): ImageNeed => ({
    ...{ name: `${name}:${target}`, target, use },
    disk: disk ? formatDevice({ list: 'disks', value: disk }) : '',
  });
  const merged = new Set(deletion.merging.map(({ target }) => target));
  const internal = deletion.snapshots.flatMap((one) =>
    isExternal(one) ? [] : takenDisks(one).map(({ name }) => name),
  );
  // What is to be removed must not be what the domain stands on, whatever descriptions say.
  const buried = deletion.files.length > 0 ? targetsOf(actor).filter((target) => !merged.has(target)) : [];
  // What is merged into is written, and what was merged goes: neither may be what others stand on.
  const touched = deletion.merging.flatMap(({ target, below, overlay, begun }, n) => {
    const disk = diskAt(actor, target);
    const on = (name: string, image: DiskImage): ImageNeed[] =>
      begun && isGone(image) ? [] : [need(`${name}${n}`, target, 'write', disk && withImages(disk, [image], false))];
    return [...on('into', below), ...on('from', overlay)];
  });
  return [
    ...removed,
    ...touched,
    ...[...merged, ...buried].map((target) => need('chain', target, 'open')),
    ...[...new Set(internal)]
      .filter((target) => diskAt(actor, target) && !merged.has(target) && !buried.includes(target))
      .map((target) => need('base', target, 'write')),
  ];
}

/** Its file went as it was merged. */
const isGone = ({ source: { file } }: DiskImage): boolean => file !== undefined && !existsSync(file);

const targetsOf = ({ document }: Actor): string[] =>
  document.devices.disks.filter((disk) => !isEmptyDrive(disk)).map(({ target }) => target.dev ?? '');

/** Throws when a file that would be removed is one that the domain stands on. */
function refuseUsed(actor: Actor, { files, merging }: Deletion, chains: ReadonlyMap<string, ChainDocument>): void {
  const live = actor.active ? targetsOf(actor).flatMap((target) => liveImages(actor)(target)) : [];
  const used = new Set([...partedFiles(chains).used, ...live.map(({ source }) => source.file)]);
  const merged = new Set(merging.map(({ overlay }) => overlay.source.file));
  const file = files.find((one) => used.has(one) && !merged.has(one));
  if (file === undefined) return;
  const detail = `the domain stands on ${file}, which would be removed; delete the metadata alone`;
  throw new VirtError('OPERATION_INVALID', { detail });
}

const diskAt = (actor: Actor, target: string) =>
  actor.document.devices.disks.find((disk) => disk.target.dev === target);

async function removeImages(context: Context, deletion: Deletion): Promise<void> {
  const { host, actor, call, prepared } = context;
  const facility = facet(host.implementation, 'snapshots');
  const disks = heldBy(prepared);
  refuseUsed(actor, deletion, chainsOf(disks));
  // Before anything is marked: a snapshot that bears the mark may have been merged.
  const merges = actor.guest
    ? depthsOf(deletion.merging, liveImages(actor), deletion.before)
    : depthsOf(deletion.merging, preparedImages(chainsOf(disks), deletion), deletion.before);
  beginDoing(actor, { what: 'delete', command: call.id, names: namesOf(deletion) });
  try {
    hold(actor, disks);
    markBroken(actor, deletion);
    const { guest } = actor;
    const how = { command: call.id, signal: call.signal };
    if (guest) await whileItRuns(actor, 'its images were merged', () => facility.merge(guest, merges, how));
    else await mergeOffline(context, deletion, merges, chainsOf(disks));
    const left = guest ? actor.document : located(actor.document, preparedChain(chainsOf(disks), deletion));
    for (const snapshot of deletion.snapshots) {
      if (!isExternal(snapshot)) await facility.remove(actor.guest, left, snapshot, call.signal);
    }
  } catch (error) {
    abandon(actor);
    throw error;
  }
}

const namesOf = ({ snapshots }: Deletion): string[] => snapshots.map(({ name }) => name);

async function mergeOffline(
  { host, actor, call }: Context,
  { merging }: Deletion,
  merges: readonly Merge[],
  chains: ReadonlyMap<string, ChainDocument>,
): Promise<void> {
  if (merging.length === 0 || !actor.config) return;
  const facility = facet(host.implementation, 'snapshots');
  const known = new Map([...chains].map(([name, chain]) => [name.replace(/^chain:/, ''), chain]));
  await facility.mergeOffline(merges, known, call.signal);
  actor.setConfig(standingOn(actor.config, merging));
  for (const { overlay } of merging)
    if (overlay.source.file !== undefined) rmSync(overlay.source.file, { force: true });
}

/** The images of disks as storage found them; what is merged into by the name that its snapshot has for it. */
const preparedImages =
  (chains: ReadonlyMap<string, ChainDocument>, { merging }: Deletion) =>
  (target: string): DiskImage[] =>
    (chains.get(`chain:${target}`)?.layers ?? []).map((layer) => {
      const into = (n: number) => chains.get(`into${n}:${target}`)?.layers[0]?.location;
      return merging.find((_, n) => isDeepStrictEqual(into(n), layer.location))?.below ?? asImage(layer);
    });

/** What storage has found of a disk that stands on what its images were merged into, or on what it stood on. */
const preparedChain =
  (chains: ReadonlyMap<string, ChainDocument>, { merging }: Deletion) =>
  (target: string, disk: Disk): ChainDocument | undefined => {
    const [top] = diskImages(disk);
    const n = merging.findIndex((one) => one.target === target && top && isSameLocation(one.below, top));
    return chains.get(`into${n}:${target}`) ?? chains.get(`base:${target}`) ?? chains.get(`chain:${target}`);
  };

/** Where a layer lies, in the document's words. */
function asImage({ location }: ChainDocument['layers'][number]): DiskImage {
  const source = { hosts: [], seclabels: [] };
  if (location.type === 'file') return { type: 'file', source: { ...source, file: location.path } };
  if (location.type === 'block') return { type: 'block', source: { ...source, dev: location.path } };
  return { type: 'file', source };
}

/** Until its images are merged, nobody may go back to it: what it kept is being written over. */
function markBroken(actor: Actor, { snapshots }: Deletion): void {
  const book = snapshotsOf(actor);
  for (const snapshot of snapshots) {
    if (!isExternal(snapshot)) continue;
    const disks = snapshot.disks.map((disk) =>
      disk.snapshot === 'external' ? { ...disk, snapshotDeleteInProgress: true } : disk,
    );
    book.keep({ ...snapshot, disks });
  }
}

/** The descriptions go; those that stay say what is there now. */
function forget({ actor, call }: Context, deletion: Deletion): void {
  const { merging, files } = deletion;
  const book = snapshotsOf(actor);
  const names = new Set(namesOf(deletion));
  const surviving = (name: string | undefined): string | undefined => {
    let one = name === undefined ? undefined : book.find(name);
    while (one && names.has(one.name)) one = book.parentOf(one);
    return one?.name;
  };
  const current = surviving(currentOf(actor));
  for (const one of book.all.filter(({ name }) => !names.has(name))) {
    const parent = surviving(one.parent?.name);
    const { parent: _gone, ...rest } = withoutMerged(one, merging);
    book.keep({ ...rest, ...(parent === undefined ? {} : { parent: { name: parent } }) });
  }
  for (const file of files) rmSync(file, { force: true });
  descendFrom(actor, current);
  beginDoing(actor, { what: 'delete', command: call.id, names: [...names] });
  completeDeletion(actor);
}
