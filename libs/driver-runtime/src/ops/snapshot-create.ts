/** Taking a snapshot, or keeping the description of one again. */
import { diskImages, formatDevice, withImages, type Disk, type Domain } from '@virtbus/domain-xml';
import { formatSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { createSnapshot, VirtError, type ImageNeed } from '@virtbus/shared';
import type { Actor } from '../actor';
import { facet } from '../driver';
import { whileItRuns } from '../ended-meanwhile';
import { chainsOf, checkNamed, heldBy } from '../images';
import type { SnapshotCreation } from '../record';
import { currentOf, snapshotsOf } from '../snapshots';
import type { LiveTaking } from '../snapshots/facet';
import { definitionWithOverlays, placesOf, overlaysOf } from '../snapshots/overlays';
import { redefine } from '../snapshots/redefine';
import { described, requestedSnapshot, type CreateRequest } from '../snapshots/request';
import { isExternal, summaryOf, takenDisks } from '../snapshots/summary';
import { abandon, beginDoing, beginTaking, completeCreation, type Completion } from '../snapshots/unfinished';
import { baseIn, located } from '../snapshots/volumes';
import { guestOf, planned, type Context } from './op';

export const create = planned(
  createSnapshot,
  'any',
  {
    plan: (request, context) => {
      if (request.redefine) return [];
      return imageNeeds(context.actor, requestedSnapshot(context, request), request.reuseExternal);
    },
    run: async (request, context) => {
      const { actor } = context;
      const snapshot = request.redefine ? redefine(context, request) : await take(context, request);
      const book = snapshotsOf(actor);
      const kept = book.find(snapshot.name) ?? snapshot;
      return { domain: actor.summary(), snapshot: summaryOf(book, kept, currentOf(actor)) };
    },
  },
  { async: 'snapshot' },
);

/**
 * An empty file for each overlay, or the one that is there; of a domain that is off also the images themselves, which nobody
 * holds.
 */
function imageNeeds({ document, active }: Actor, snapshot: Snapshot, reuse: boolean): ImageNeed[] {
  const overlays = overlaysOf(snapshot);
  const taken = new Map(takenDisks(snapshot).map(({ name, snapshot: kind }) => [name, kind]));
  return document.devices.disks.flatMap((disk): ImageNeed[] => {
    const target = disk.target.dev ?? '';
    const image = overlays.get(target);
    const kind = taken.get(target);
    const need = (name: string, use: ImageNeed['use'], value = disk): ImageNeed => ({
      ...{ name: `${name}:${target}`, target, use },
      disk: formatDevice({ list: 'disks', value }),
    });
    const made = image && need('overlay', reuse ? 'open' : 'create', withImages(disk, [image], !reuse));
    return [
      // Of a domain that is off the overlays are made when its images are.
      ...(made ? [{ ...made, ...(active && !reuse && { on: topOf(disk) }) }] : []),
      ...(kind && !active ? [need('base', kind === 'internal' ? 'write' : 'open')] : []),
    ];
  });
}

/** The image that is the active one now, without those below. */
const topOf = (disk: Disk): string =>
  formatDevice({ list: 'disks', value: withImages(disk, diskImages(disk).slice(0, 1), true) });

async function take(context: Context, request: CreateRequest): Promise<Snapshot> {
  const { actor, prepared } = context;
  const snapshot = described(actor, requestedSnapshot(context, request));
  const disks = heldBy(prepared);
  const overlays = overlaysOf(snapshot);
  for (const target of overlays.keys()) {
    if (disks[`overlay:${target}`]) continue;
    throw new VirtError('RESOURCE_BUSY', { detail: `the overlay of disk '${target}' is not prepared` });
  }
  checkNamed(disks, placesOf(overlays));
  const before = actor.active ? actor.document : located(actor.document, baseIn(chainsOf(disks)));
  await checkImages(context, before, snapshot);
  beginDoing(actor, creationOf(snapshot, request, actor.active), disks);
  let taken = false;
  try {
    // A disk that is too full for the description says so before anything has happened.
    if (!request.noMetadata) snapshotsOf(actor).reserve(snapshot);
    const complete = (definition: Definition): void => {
      taken = true;
      completeCreation(actor, snapshot, { metadata: !request.noMetadata, definition });
    };
    if (actor.active) await takeLive(context, request, snapshot, complete);
    else await takeOffline(context, before, request, snapshot, complete);
  } catch (error) {
    // What has happened is not taken back: the record tells of it, and the next start of ours completes it.
    if (!taken && context.host.find(actor.uuid) === actor) abandon(actor);
    throw error;
  }
  if (request.halt && actor.guest) {
    await actor.endGuest({ graceful: false, reason: 'from-snapshot', detail: 'from-snapshot' });
  }
  return snapshot;
}

/** What only a look at the images tells. */
async function checkImages({ host, actor }: Context, domain: Domain, snapshot: Snapshot): Promise<void> {
  const facility = facet(host.implementation, 'snapshots');
  facility.check(domain, snapshot, actor.active);
  if (!isExternal(snapshot)) await facility.checkFree(actor.guest, domain, snapshot);
}

type Definition = Completion['definition'];
type Complete = (definition: Definition) => void;

async function takeLive(
  { host, actor, call, prepared }: Context,
  request: CreateRequest,
  snapshot: Snapshot,
  complete: Complete,
): Promise<void> {
  const facility = facet(host.implementation, 'snapshots');
  const before = actor.document;
  const abort = new AbortController();
  const began = Date.now();
  actor.job = { type: 'unbounded', operation: 'snapshot', commandId: call.id, elapsedMs: 0 };
  actor.abortJob = abort;
  try {
    const taking: LiveTaking = {
      snapshot,
      reuse: request.reuseExternal,
      quiesce: request.quiesce,
      live: request.live,
      domain: before,
      images: chainsOf(heldBy(prepared)),
      signal: AbortSignal.any([call.signal, abort.signal]),
      begin: () => beginTaking(actor, snapshot, creationOf(snapshot, request, true)),
      taken: () => {
        // A transient domain is no more when its guest ended over it.
        host.mustHave(actor);
        complete((config) => config);
      },
      progress: (bytes) => Object.assign(actor.job ?? {}, bytes, { elapsedMs: Date.now() - began }),
    };
    const guest = guestOf(actor);
    await whileItRuns(actor, 'a snapshot of it was taken', () => facility.take(guest, taking));
  } finally {
    actor.job = undefined;
    actor.abortJob = undefined;
  }
}

async function takeOffline(
  { host, actor, call, prepared }: Context,
  before: Domain,
  request: CreateRequest,
  snapshot: Snapshot,
  complete: Complete,
): Promise<void> {
  const facility = facet(host.implementation, 'snapshots');
  await facility.takeOffline(before, {
    snapshot,
    reuse: request.reuseExternal,
    images: chainsOf(heldBy(prepared)),
    signal: call.signal,
  });
  // It has happened once this is on disk.
  if (actor.config && isExternal(snapshot)) actor.setConfig(definitionWithOverlays(actor.config, before, snapshot));
  complete((config) => config);
}

const creationOf = (snapshot: Snapshot, request: CreateRequest, online: boolean): SnapshotCreation => ({
  what: 'create',
  xml: formatSnapshot({ ...snapshot, active: true }, { stored: true, secrets: true }),
  metadata: !request.noMetadata,
  begun: false,
  reuse: request.reuseExternal,
  online,
});
