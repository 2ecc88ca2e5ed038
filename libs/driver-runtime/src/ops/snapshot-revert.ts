/** Going back to a snapshot: the guest ends, its disks become those of the snapshot, and it starts from there. */
import { existsSync, rmSync } from 'node:fs';
import {
  diskImages,
  dispensableDisks,
  formatDevice,
  isEmptyDrive,
  withImages,
  withOverlay,
  type Domain,
} from '@virtbus/domain-xml';
import { formatSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import {
  diskOfNeed,
  revertSnapshot,
  VirtError,
  type ChainDocument,
  type ImageNeed,
  type Request,
} from '@virtbus/shared';
import type { Actor } from '../actor';
import { nvramOf } from '../document';
import { facet, type Guest } from '../driver';
import { chainsOf, checkNamed, heldBy, hold } from '../images';
import { beganAt } from '../began-at';
import { checkpointsOf, markedDisks } from '../checkpoints';
import type { HeldDisks } from '../record';
import { snapshotsOf } from '../snapshots';
import { overlaysOf, placesOf, withDisks } from '../snapshots/overlays';
import { partedFiles, removalNeeds, stateNeeds } from '../snapshots/removal';
import {
  abandonedBy,
  definitionOf,
  excludedDisks,
  finishRevert,
  newOverlays,
  rewoundPartly,
  untoldStates,
  withKept,
  writtenOver,
} from '../snapshots/reverting';
import { isExternal, stateOf } from '../snapshots/summary';
import { abandon, beginDoing } from '../snapshots/unfinished';
import { baseIn, located } from '../snapshots/volumes';
import { planned, type Context } from './op';
import { boot, dropManagedSave } from './start';

type RevertRequest = Request<typeof revertSnapshot>;
type Whole = Snapshot & { domain: Domain };

export const revert = planned(
  revertSnapshot,
  'any',
  {
    plan: (request, { actor, call }) => imageNeeds(actor, request, checked(actor, request), call.id),
    run: async (request, context) => {
      const snapshot = checked(context.actor, request);
      await revertTo(context, request, snapshot).finally(() => forget(context));
      return { domain: context.actor.summary() };
    },
  },
  { async: 'snapshot' },
);

/** Throws what keeps the domain from going back to it. */
function checked(actor: Actor, { name, running, paused, force }: RevertRequest): Whole {
  const snapshot = snapshotsOf(actor).get(name);
  const refuse = (detail: string, code: 'OPERATION_INVALID' | 'SNAPSHOT_REVERT_RISKY' = 'OPERATION_INVALID') => {
    throw new VirtError(code, { detail });
  };
  const { domain } = snapshot;
  if (running && paused) throw new VirtError('INVALID_ARG', { detail: 'running and paused exclude each other' });
  if (!domain) return refuse(`snapshot '${name}' lacks domain '${actor.record.name}' rollback info`);
  const ran = wasActive(snapshot);
  if (!actor.record.persistent && !ran && !running && !paused)
    refuse(`a transient domain cannot be off: snapshot '${name}' is of no running guest, so say how it is to go on`);
  if (!force && actor.active && !ran && (running || paused))
    refuse('must respawn guest to start inactive snapshot', 'SNAPSHOT_REVERT_RISKY');
  for (const { name: disk, snapshotDeleteInProgress } of snapshot.disks)
    if (snapshotDeleteInProgress) refuse(`snapshot disk '${disk}' was target of not completed snapshot delete`);
  const { file } = snapshot.memory ?? {};
  if (file !== undefined && !existsSync(file)) refuse(`the memory of snapshot '${name}' is not there: ${file}`);
  const other = writtenOver(snapshotsOf(actor).all, snapshot, excludedDisks(actor, snapshot));
  if (other !== undefined)
    refuse(
      `going back to '${name}' would write over what snapshot '${other}' keeps in the same image; delete that first`,
    );
  refuseBitmaps(actor, snapshot);
  return { ...snapshot, domain };
}

/** An image is not wound back while it records what is written: of several disks some would be, and then it failed. */
function refuseBitmaps(actor: Actor, { name, disks }: Snapshot): void {
  const within = new Set(disks.flatMap((disk) => (disk.snapshot === 'internal' ? [disk.name] : [])));
  for (const checkpoint of checkpointsOf(actor).all) {
    const marked = markedDisks(checkpoint).find((target) => within.has(target));
    if (marked === undefined) continue;
    const detail = `disk '${marked}' cannot go back to internal snapshot '${name}': its image holds the bitmap of checkpoint '${checkpoint.name}'; delete the checkpoint first`;
    throw new VirtError('OPERATION_UNSUPPORTED', { detail });
  }
}

const wasActive = (snapshot: Snapshot): boolean => ['running', 'paused'].includes(stateOf(snapshot));

/** An empty file for each new overlay; what the snapshot's disks stand on; what is given up, where nobody stands on that. */
function imageNeeds(actor: Actor, request: RevertRequest, snapshot: Whole, id: string): ImageNeed[] {
  const all = allDisksOf(snapshot, request);
  const overlays = overlaysOf({ disks: newOverlays(only(snapshot, all), beganAt(actor, id)) });
  const rewinds = !isExternal(snapshot) && snapshot.memory?.snapshot !== 'internal';
  const taken = new Set(snapshot.disks.flatMap((disk) => (disk.snapshot === 'internal' ? [disk.name] : [])));
  const dispensable = dispensableIn(snapshot, all);
  const standing = withKept(all, excludedDisks(actor, snapshot)).devices.disks.flatMap((disk): ImageNeed[] => {
    const target = disk.target.dev ?? '';
    if (isEmptyDrive(disk)) return [];
    const image = overlays.get(target);
    const need = (name: string, use: ImageNeed['use'], value = disk): ImageNeed => ({
      ...{ name: `${name}:${target}`, target, use },
      disk: formatDevice({ list: 'disks', value }),
    });
    const mayMiss = !image && !taken.has(target) && dispensable.has(target);
    const readOnly = image ? { ...disk, readonly: true } : disk;
    return [
      { ...need('base', rewinds && taken.has(target) ? 'write' : 'open', readOnly), ...(mayMiss && { mayMiss }) },
      ...(image ? [need('overlay', 'create', withImages(disk, [image], true))] : []),
    ];
  });
  const going = removalNeeds(abandonedBy(actor, snapshot), { mayStay: true });
  return [...standing, ...going, ...(going.length > 0 ? lookedAt(actor, snapshot) : [])];
}

/** States that may stand on what is given up. */
const lookedAt = (actor: Actor, snapshot: Whole): ImageNeed[] =>
  stateNeeds(untoldStates(actor, abandonedBy(actor, snapshot)));

/** A state expects the hard disks of its guest, but not one that the guest ran without. */
function dispensableIn(snapshot: Whole, all: Domain): ReadonlySet<string> {
  const had = new Set(snapshot.domain.devices.disks.map(({ target }) => target.dev));
  const never = dispensableDisks(all, 'boot').filter((target) => !had.has(target));
  return new Set([...dispensableDisks(all, 'restore'), ...never]);
}

const startsAgain = (snapshot: Snapshot, { running, paused }: RevertRequest): boolean =>
  wasActive(snapshot) || running || paused;

/** The definition gone back to, with disks that only the guest had, where one starts again. */
function allDisksOf(snapshot: Whole, request: RevertRequest): Domain {
  const definition = snapshot.inactiveDomain ?? snapshot.domain;
  if (!startsAgain(snapshot, request)) return definition;
  const defined = new Set(definition.devices.disks.map(({ target }) => target.dev));
  const plugged = snapshot.domain.devices.disks.filter(({ target }) => !defined.has(target.dev));
  return { ...definition, devices: { ...definition.devices, disks: [...definition.devices.disks, ...plugged] } };
}

/** The snapshot of those disks that are gone back to: a disk that only the guest had is not when none starts again. */
function only(snapshot: Whole, { devices }: Domain): Whole {
  const targets = new Set(devices.disks.map(({ target }) => target.dev));
  return { ...snapshot, disks: snapshot.disks.filter(({ name }) => targets.has(name)) };
}

async function revertTo(context: Context, request: RevertRequest, snapshot: Whole) {
  const { host, actor, call, prepared } = context;
  const facility = facet(host.implementation, 'snapshots');
  const disks = heldBy(prepared);
  const kept = excludedDisks(actor, snapshot);
  const definition = definitionOf(snapshot, kept);
  const all = withKept(allDisksOf(snapshot, request), kept);
  const revertDisks = newOverlays(only(snapshot, all), beganAt(actor, call.id));
  checkNamed(disks, placesOf(overlaysOf({ disks: revertDisks })));
  const onOverlays = (domain: Domain): Domain => {
    const overlays = overlaysOf({ disks: revertDisks });
    return withDisks(domain, (disk, target) => {
      const image = overlays.get(target);
      return image ? withImages(withOverlay(disk, image), [image], false) : disk;
    });
  };
  const images = chainsOf(disks);
  const states = lookedAt(actor, snapshot);
  const openable = located(all, baseIn(images));
  await facility.checkKept(openable, snapshot);
  const xml = formatSnapshot({ ...snapshot, revertDisks, active: true }, { stored: true, secrets: true });
  const doing = { what: 'revert', name: snapshot.name, xml, starts: startsAgain(snapshot, request) } as const;
  beginDoing(actor, doing);
  try {
    hold(actor, disks);
    if (actor.guest) await giveUp(actor, actor.guest);
    hold(actor, disks); // Its end let go of all.
    const overlaid = withDisks(openable, (disk, target) => {
      const image = overlaysOf({ disks: revertDisks }).get(target);
      return image ? withOverlay(disk, image) : disk;
    });
    await facility.makeOverlays(overlaid, { disks: revertDisks }, images, call.signal);
    if (!isExternal(snapshot) && snapshot.memory?.snapshot !== 'internal') {
      // Also where it fails half way: a save image goes with what its disks held.
      dropManagedSave(host, actor);
      beginDoing(actor, { ...doing, rewinds: true });
      await facility.rewind(openable, snapshot, call.signal).catch((error: unknown) => {
        throw rewoundPartly(snapshot, error);
      });
    }
    if (request.resetNvram) dropNvram(snapshot.domain);
    if (actor.record.persistent) actor.setConfig(onOverlays(definition));
    dropManagedSave(host, actor);
  } catch (error) {
    abandon(actor);
    throw error;
  }
  finishRevert(actor, snapshot, revertDisks, freeFiles(actor, images, states));
  abandon(actor);
  await startAgain(context, request, snapshot, onOverlays(withKept(snapshot.domain, kept)), disks);
}

/** Of what is given up, what nothing that stays stands on: nothing while a state cannot be looked into, or is not known. */
function freeFiles(
  actor: Actor,
  images: ReadonlyMap<string, ChainDocument>,
  states: readonly ImageNeed[],
): ReadonlySet<string> {
  if (snapshotsOf(actor).damaged.length > 0 || states.some(({ name }) => !images.has(name))) return new Set();
  const { going, used } = partedFiles(images);
  return new Set([...going].filter((file) => !used.has(file)));
}

/** The guest as it is now ends; its domain goes on without it. */
async function giveUp(actor: Actor, guest: Guest): Promise<void> {
  actor.changesGuest = true;
  try {
    await guest.destroy({ graceful: false, reason: 'from-snapshot', detail: 'from-snapshot' });
  } finally {
    actor.changesGuest = false;
  }
}

/** A transient domain that has lost its guest, and got no other, is no more. */
function forget({ host, actor }: Context): void {
  if (actor.record.persistent || actor.guest) return;
  if (actor.active) {
    actor.shutOff({ state: 'shutoff', reason: 'failed' });
    actor.lifecycle('stopped', 'failed');
  }
  host.gone(actor);
}

function dropNvram(domain: Domain): void {
  const path = nvramOf(domain);
  if (path !== undefined) rmSync(path, { force: true });
}

/** As it was when the snapshot was taken, unless the caller says otherwise. */
async function startAgain(
  { host, actor, call, prepared }: Context,
  request: RevertRequest,
  snapshot: Snapshot,
  domain: Domain,
  held: HeldDisks,
): Promise<void> {
  if (!startsAgain(snapshot, request)) return;
  const { running, paused } = request;
  const memory = snapshot.memory?.snapshot;
  const restore =
    memory === 'external' && snapshot.memory?.file !== undefined
      ? { path: snapshot.memory.file }
      : memory === 'internal'
        ? { snapshot }
        : undefined;
  await boot(host, actor, {
    domain,
    paused: paused || (!running && stateOf(snapshot) === 'paused'),
    restore,
    reverts: true,
    disks: standing(domain, held, prepared?.claim ?? ''),
    missing: prepared?.missing?.filter((name) => name.startsWith('base:')).map(diskOfNeed),
    signal: call.signal,
  });
}

/** What each disk stands on now: its overlay and all below, or what was opened for it. */
function standing(domain: Domain, held: HeldDisks, claim: string): HeldDisks {
  return Object.fromEntries(
    domain.devices.disks.flatMap((disk) => {
      const target = disk.target.dev ?? '';
      const base = held[`base:${target}`]?.chain;
      const overlay = held[`overlay:${target}`]?.chain?.layers[0];
      if (!base) return [];
      const format = diskImages(disk)[0]?.format?.type ?? 'qcow2';
      const layers = overlay ? [{ ...overlay, format } as typeof overlay, ...base.layers] : base.layers;
      const chain = { ...base, layers: layers.map((layer, index) => ({ ...layer, index })) };
      return [[target, { claim, chain }] as const];
    }),
  );
}
