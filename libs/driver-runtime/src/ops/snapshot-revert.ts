/** Going back to a snapshot: the guest ends, its disks become those of the snapshot, and it starts from there. */
import { existsSync, rmSync } from 'node:fs';
import {
  diskImages,
  dispensableDisks,
  formatDevice,
  isEmptyDrive,
  isSameLocation,
  withImages,
  withOverlay,
  type DiskImage,
  type Domain,
} from '@virtbus/domain-xml';
import { formatSnapshot, type Snapshot } from '@virtbus/domain-xml/snapshot';
import { diskOfNeed, revertSnapshot, VirtError, type ImageNeed, type Request } from '@virtbus/shared';
import type { Actor } from '../actor';
import { nvramOf } from '../document';
import { facet, type Guest } from '../driver';
import { chainsOf, heldBy, hold } from '../images';
import { beganAt } from '../began-at';
import type { HeldDisks } from '../record';
import { snapshotsOf } from '../snapshots';
import { filesOf, overlaysOf, withDisks } from '../snapshots/overlays';
import { finishRevert, newOverlays } from '../snapshots/reverting';
import { isExternal, stateOf } from '../snapshots/summary';
import { abandon, beginDoing } from '../snapshots/unfinished';
import { planned, type Context } from './op';
import { boot, dropManagedSave } from './start';

type RevertRequest = Request<typeof revertSnapshot>;

export const revert = planned(
  revertSnapshot,
  'any',
  {
    plan: (request, { actor, call }) => imageNeeds(actor, checked(actor, request), call.id),
    run: async (request, context) => {
      const snapshot = checked(context.actor, request);
      await revertTo(context, request, snapshot).finally(() => forget(context));
      return { domain: context.actor.summary() };
    },
  },
  { async: 'snapshot' },
);

/** Throws what keeps the domain from going back to it. */
function checked(actor: Actor, { name, running, paused, force }: RevertRequest): Snapshot & { domain: Domain } {
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
  const kept = isExternal(snapshot) ? undefined : keptWithin(snapshotsOf(actor).all, snapshot);
  if (kept !== undefined)
    refuse(
      `going back to '${name}' would write over what snapshot '${kept}' keeps in the same image; delete that first`,
    );
  return { ...snapshot, domain };
}

/** An external snapshot whose state is the very image that an internal one is within. */
function keptWithin(all: readonly Snapshot[], snapshot: Snapshot): string | undefined {
  const tops = topsOf(snapshot);
  const other = all.find(
    (one) =>
      one.name !== snapshot.name &&
      isExternal(one) &&
      topsOf(one).some((top) => tops.some((own) => isSameLocation(own, top))),
  );
  return other?.name;
}

const topsOf = ({ domain }: Snapshot): DiskImage[] =>
  (domain?.devices.disks ?? []).flatMap((disk) => diskImages(disk).slice(0, 1));

const wasActive = (snapshot: Snapshot): boolean => ['running', 'paused'].includes(stateOf(snapshot));

/** An empty file for each new overlay; what the snapshot's disks stand on. */
function imageNeeds(actor: Actor, snapshot: Snapshot & { domain: Domain }, id: string): ImageNeed[] {
  const overlays = overlaysOf({ disks: newOverlays(snapshot, beganAt(actor, id)) });
  const rewinds = !isExternal(snapshot) && snapshot.memory?.snapshot !== 'internal';
  const taken = new Set(snapshot.disks.flatMap((disk) => (disk.snapshot === 'internal' ? [disk.name] : [])));
  const dispensable = dispensableIn(snapshot);
  return definitionOf(snapshot).devices.disks.flatMap((disk): ImageNeed[] => {
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
}

/** A state expects the hard disks of its guest, but not one that the guest ran without. */
function dispensableIn(snapshot: Snapshot & { domain: Domain }): ReadonlySet<string> {
  const definition = definitionOf(snapshot);
  const had = new Set(snapshot.domain.devices.disks.map(({ target }) => target.dev));
  const never = dispensableDisks(definition, 'boot').filter((target) => !had.has(target));
  return new Set([...dispensableDisks(definition, 'restore'), ...never]);
}

const definitionOf = ({ domain, inactiveDomain }: Snapshot & { domain: Domain }): Domain => inactiveDomain ?? domain;

async function revertTo(context: Context, request: RevertRequest, snapshot: Snapshot & { domain: Domain }) {
  const { host, actor, call, prepared } = context;
  const facility = facet(host.implementation, 'snapshots');
  const disks = heldBy(prepared);
  const revertDisks = newOverlays(snapshot, beganAt(actor, call.id));
  const onOverlays = (domain: Domain): Domain => {
    const overlays = overlaysOf({ disks: revertDisks });
    return withDisks(domain, (disk, target) => {
      const image = overlays.get(target);
      return image ? withImages(withOverlay(disk, image), [image], false) : disk;
    });
  };
  const xml = formatSnapshot({ ...snapshot, revertDisks, active: true }, { stored: true, secrets: true });
  beginDoing(actor, { what: 'revert', name: snapshot.name, xml });
  hold(actor, disks);
  try {
    if (actor.guest) await giveUp(actor, actor.guest);
    hold(actor, disks); // Its end let go of all.
    const images = chainsOf(disks);
    const overlaid = withDisks(definitionOf(snapshot), (disk, target) => {
      const image = overlaysOf({ disks: revertDisks }).get(target);
      return image ? withOverlay(disk, image) : disk;
    });
    await facility.makeOverlays(overlaid, { disks: revertDisks }, images, call.signal);
    if (!isExternal(snapshot) && snapshot.memory?.snapshot !== 'internal') {
      // Also where it fails half way: a save image goes with what its disks held.
      dropManagedSave(host, actor);
      await facility.rewind(definitionOf(snapshot), snapshot, call.signal);
    }
    if (request.resetNvram) dropNvram(snapshot.domain);
    if (actor.record.persistent) actor.setConfig(onOverlays(definitionOf(snapshot)));
    dropManagedSave(host, actor);
  } catch (error) {
    abandon(actor);
    throw error;
  }
  finishRevert(actor, snapshot, revertDisks, filesOf(chainsOf(disks)));
  abandon(actor);
  await startAgain(context, request, snapshot, onOverlays(snapshot.domain), disks);
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
  { running, paused }: RevertRequest,
  snapshot: Snapshot,
  domain: Domain,
  held: HeldDisks,
): Promise<void> {
  if (!wasActive(snapshot) && !running && !paused) return;
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
    missing: prepared?.missing?.map(diskOfNeed),
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
