/**
 * External snapshots of a running guest: an overlay for each disk, put on top of all disks in one transaction; with the memory
 * in a file where it is asked for.
 *
 *   overlays made ─▶ freeze, or pause and write memory ─▶ begin() ─▶ transaction ─▶ taken() ─▶ thaw, or go on
 *
 * From `begin` on the definition names the overlays, which read as what they are put upon: whoever dies between it and `taken`,
 * nothing that the guest flushed into them is lost.
 */
import { rmSync } from 'node:fs';
import { formatLocation } from '@virtbus/disk-image';
import {
  chainLayers,
  givenChain,
  headerFormatAt,
  imageRemoval,
  likenessOf,
  overlayBitmaps,
  type CreationChoices,
  type Disk,
  type Domain,
  type NodeImages,
} from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import { goOn, overlaysOf, withOverlays, type LiveTaking } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { activateImages } from '../activate-images';
import { areFree, imagesIn, nodeSource, type BlockHost } from '../block-jobs/nodes';
import type { QemuGuest } from '../guest';
import { keepNumbers } from '../image-numbers';
import { isRefusal } from '../monitor-failure';
import { endCreation, makeImage } from '../new-image';
import type { RunUser } from '../run-user';
import { takeBack, type Undo } from '../undo';
import { untilKnown } from '../until-known';
import { freeze, thaw } from './freeze';

/** Writes the guest's memory; `running`: it is to run when it is restored. */
type SaveMemory = (taking: LiveTaking, path: string, running: boolean) => Promise<void>;

interface Plan {
  /** The disk with its overlay on top. */
  disk: Disk;
  /** Nodes of the two images. */
  old: string;
  overlay: string;
}

export async function takeExternal(
  host: BlockHost,
  guest: QemuGuest,
  taking: LiveTaking,
  saveMemory: SaveMemory,
): Promise<void> {
  const undo: Undo = [];
  let opened: Promise<unknown> | undefined;
  // On disk with the first file that is lent.
  guest.saved.overlaysFrom = guest.saved.nextIndex;
  const live = onOverlays(guest, taking.snapshot);
  keepNumbers(guest.saved, live);
  try {
    const asked = imagesIn(guest, taking.signal);
    asked.catch(() => undefined);
    const plans = plansFor(host, guest, taking);
    const open = await makeOverlays(host, guest, taking, plans, asked, undo);
    const opening = Promise.all(open.map((tell) => tell()));
    opening.catch(() => undefined);
    opened = opening;
    await inStillness(guest, host.user, taking, saveMemory, undo, async () => {
      taking.signal.throwIfAborted();
      // QEMU opens the overlays while the definition is written.
      taking.begin();
      const images = await asked;
      const actions = plans.flatMap(({ old, overlay }) => [
        ...overlayBitmaps(images, old, overlay),
        { type: 'blockdev-snapshot', data: { node: old, overlay } },
      ]);
      if (actions.length > 0) await transact(guest, actions, plans, opening);
      undo.length = 0;
      guest.live = live;
      taking.taken();
    });
  } catch (error) {
    await opened?.catch(() => undefined);
    await takeBack(undo, guest.log);
    throw error;
  }
}

/**
 * An empty image for each disk, all side by side; in what is reused, and in what storage has made whole, there is one already.
 * @param images of the guest, as QEMU has been asked for them
 * @returns what opens each
 */
async function makeOverlays(
  host: BlockHost,
  guest: QemuGuest,
  { reuse, images: prepared, signal }: LiveTaking,
  plans: readonly Plan[],
  images: Promise<NodeImages>,
  undo: Undo,
): Promise<(() => Promise<void>)[]> {
  const made = await Promise.allSettled(
    plans.map(({ disk, old }) => {
      const isWhole = reuse || prepared.get(`overlay:${disk.target.dev ?? ''}`)?.layers[0]?.backing !== undefined;
      const make = isWhole ? undefined : images.then((all) => likeTheOld(all, disk, old));
      return makeImage(host, guest, { disk, make, backing: null }, signal, undo);
    }),
  );
  return made.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}

/** The live document afterwards; the same whenever it is asked of the same document. */
const onOverlays = (guest: QemuGuest, snapshot: LiveTaking['snapshot']): Domain =>
  withOverlays(guest.live, snapshot, guest.saved.overlaysFrom);

function plansFor(host: BlockHost, guest: QemuGuest, { snapshot }: Pick<LiveTaking, 'snapshot'>): Plan[] {
  const overlays = overlaysOf(snapshot);
  const source = nodeSource(host, guest);
  return onOverlays(guest, snapshot).devices.disks.flatMap((disk) => {
    if (!overlays.has(disk.target.dev ?? '')) return [];
    const [overlay, old] = chainLayers(source, disk);
    return overlay && old ? [{ disk, overlay: overlay.top, old: old.top }] : [];
  });
}

function likeTheOld(images: NodeImages, disk: Disk, old: string): CreationChoices {
  const image = images.get(old);
  const below = givenChain(disk)?.images[1];
  if (!image || !below)
    throw new VirtError('INTERNAL_ERROR', { detail: `QEMU has no node '${old}' for disk '${disk.target.dev ?? ''}'` });
  const backing = { string: formatLocation(below.location), format: headerFormatAt(disk, 1) };
  return { ...likenessOf(image), backing };
}

/** Frozen or paused while `work` is done, whichever was asked for. @param user whom the guest runs as */
async function inStillness(
  guest: QemuGuest,
  user: RunUser | undefined,
  taking: LiveTaking,
  saveMemory: SaveMemory,
  undo: Undo,
  work: () => Promise<void>,
): Promise<void> {
  const { snapshot, quiesce, live, signal } = taking;
  const { file } = snapshot.memory?.snapshot === 'external' ? (snapshot.memory ?? {}) : {};
  const wasRunning = guest.state.state === 'running';
  try {
    if (quiesce) await freeze(guest, signal);
    if (file !== undefined) {
      if (wasRunning && live) guest.expectPause('snapshot');
      else if (wasRunning) await guest.suspend('snapshot', signal);
      undo.push(() => rmSync(file, { force: true }));
      await saveMemory(taking, file, wasRunning);
    }
    await work();
  } finally {
    await thaw(guest);
    if (file !== undefined) await (wasRunning ? letRun(guest) : activateImages(guest, user));
  }
}

async function letRun(guest: QemuGuest): Promise<void> {
  let hasEnded = false;
  void guest.ended.then(() => (hasEnded = true));
  const isOurs = (): boolean => guest.state.state === 'running' || guest.state.reason === 'snapshot';
  await goOn(guest, 'unpaused', guest.log, () => !hasEnded && isOurs());
}

/**
 * All disks or none. An answer that is lost is looked for in what QEMU has.
 * @param opened resolves when the overlays are open; an overlay that is not fails the transaction as well
 */
async function transact(
  guest: QemuGuest,
  actions: readonly object[],
  plans: readonly Plan[],
  opened: Promise<unknown>,
): Promise<void> {
  try {
    await guest.askRaw('transaction', { actions });
  } catch (error) {
    // What kept an overlay from being opened is the reason.
    if (isRefusal(error)) await opened;
    if (isRefusal(error)) throw error;
    // A guest that has ended may have flushed into the overlays: it counts as taken.
    if (!(await untilKnown(guest, () => isTaken(guest, plans), true))) throw error;
  }
}

/**
 * Overlays are added with nothing below them; the transaction gives them what they stand on. Not asked `flat`: QEMU counts
 * no depth then, and says 0 of every node.
 */
async function isTaken(guest: QemuGuest, plans: readonly Plan[]): Promise<boolean> {
  const nodes = await guest.ask('query-named-block-nodes');
  return plans.every(({ overlay }) => {
    const node = nodes.find((one) => one['node-name'] === overlay);
    return node !== undefined && node.backing_file_depth > 0;
  });
}

/** After a crash of ours. The guest's live document follows when it was. @param begun its memory, if it has one, is whole */
export async function wasTakenExternally(
  host: BlockHost,
  guest: QemuGuest,
  snapshot: Snapshot,
  begun: boolean,
): Promise<boolean> {
  const plans = plansFor(host, guest, { snapshot });
  if (snapshot.memory?.file !== undefined) await activateImages(guest, host.user);
  if (plans.length > 0 ? await isTaken(guest, plans) : begun) {
    guest.live = onOverlays(guest, snapshot);
    return true;
  }
  const source = nodeSource(host, guest);
  for (const { disk, overlay } of plans) {
    await endCreation(guest, overlay);
    if (await areFree(guest, imageRemoval(source, disk, 0))) continue;
    // Its file goes with what came to nothing: never from below a guest.
    throw new VirtError('OPERATION_FAILED', {
      detail: `QEMU uses '${overlay}', though no disk was seen to stand on it`,
    });
  }
  if (snapshot.memory?.file !== undefined) rmSync(snapshot.memory.file, { force: true });
  return false;
}
