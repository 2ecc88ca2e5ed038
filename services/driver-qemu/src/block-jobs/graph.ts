/** Images of a disk as QEMU's nodes: the node of each, their bitmaps, and images taken out of the graph. */
import {
  actionsByBitmap,
  bitmapAt,
  chainLayers,
  imageNodes,
  imageRemoval,
  marksItself,
  misleadingBitmaps,
  type BitmapAction,
  type Disk,
  type NodeImages,
  type QmpStep,
} from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { isRefusal } from '../monitor-failure';
import { nodeSource, type BlockHost } from './nodes';

/** Node of each image, top first. */
export const nodesOf = (host: BlockHost, guest: QemuGuest, disk: Disk): string[] =>
  chainLayers(nodeSource(host, guest), disk).map(({ top }) => top);

/** What takes images out of the graph, from depth `first` down to the one above `end`. */
export function removalOf(host: BlockHost, guest: QemuGuest, disk: Disk, first: number, end: number): QmpStep[] {
  const source = nodeSource(host, guest);
  const depths = Array.from({ length: Math.max(0, end - first) }, (_, offset) => first + offset);
  return depths.flatMap((depth) => imageRemoval(source, disk, depth));
}

/** Open the data file of an image again, for writing or only for reading; nothing to do for an image without one. */
export async function reopenData(
  host: BlockHost,
  guest: QemuGuest,
  disk: Disk,
  depth: number,
  readOnly: boolean,
): Promise<void> {
  const { storage, layers } = imageNodes(nodeSource(host, guest), disk, depth);
  const options = storage
    .map((step) => step.arguments)
    .filter((node) => isDataNode(node, layers.storage))
    .map((node) => ({ ...node, 'read-only': readOnly }));
  if (options.length > 0) await guest.askRaw('blockdev-reopen', { options });
}

/** The node of a data file that says itself whether it may be written. */
const isDataNode = (node: Record<string, unknown>, own: string): boolean => {
  const name = node['node-name'];
  return typeof name === 'string' && !name.startsWith(own.replace(/-storage$/, '-')) && 'read-only' in node;
};

/** Whether any image of the guest has a bitmap: where none has, none has to be carried along. */
export const anyBitmap = (images: NodeImages): boolean =>
  [...images.values()].some(({ bitmaps }) => bitmaps.length > 0);

/** Bitmaps follow the data; when that fails the data is right all the same, and the next backup has to be a full one. */
export async function carryBitmaps(guest: QemuGuest, actions: readonly BitmapAction[]): Promise<void> {
  if (actions.length === 0) return;
  try {
    await guest.askRaw('transaction', { actions });
  } catch (err) {
    guest.log.warn({ err }, 'dirty bitmaps did not follow a block job');
  }
}

/**
 * Images below the active one are about to be merged: bitmaps follow, or go from the active image. One that stayed there alone
 * would seem to tell all that was written since its checkpoint, and the next backup would silently lack what was merged.
 *
 * Done while the job waits to be made final: the base of a commit is still open for writing then, and QEMU keeps its bitmaps in
 * the image as it closes it for that. A bitmap that is added to an image that is only read is lost with the guest.
 * @param base of a commit
 */
export async function mergeBitmaps(
  guest: QemuGuest,
  images: NodeImages,
  { chain, actions, base }: { chain: readonly string[]; actions: readonly BitmapAction[]; base?: string },
): Promise<void> {
  const lost = new Set(misleadingBitmaps(images, chain, base));
  for (const [name, own] of actionsByBitmap(actions)) {
    if (!(await isDone(guest, own)) && !marksItself(images, base, name)) lost.add(name);
  }
  await dropBitmaps(guest, images, chain[0]!, lost);
}

/**
 * All that was written to an image is in its file, with the tables that lead to it, before the header of another says that there is
 * where it lies: QEMU keeps those tables in its memory, and neither a pull nor a commit writes them, so that a QEMU that was
 * killed would leave an image that reads as zeroes. No command of QMP does it. Of a write that fails QEMU says nothing here.
 */
export async function flushImage(guest: Pick<QemuGuest, 'ask'>, node: string): Promise<void> {
  const said = await guest.ask('human-monitor-command', { 'command-line': `qemu-io ${node} flush` });
  if (!/^Error/i.test(said.trim())) return;
  throw new VirtError('OPERATION_FAILED', { detail: `QEMU cannot flush '${node}': ${said.trim()}` });
}

/** A checkpoint that would mislead is none: who asks for what was written since then is refused. */
export async function dropBitmaps(
  guest: QemuGuest,
  images: NodeImages,
  node: string,
  names: Iterable<string>,
): Promise<void> {
  for (const name of names) {
    if (!bitmapAt(images, node, name)) continue;
    guest.log.warn({ bitmap: name, node }, 'a dirty bitmap cannot follow a block job, and is removed');
    await guest.askRaw('block-dirty-bitmap-remove', { node, name });
  }
}

/** False when QEMU refuses. */
async function isDone(guest: QemuGuest, actions: readonly BitmapAction[]): Promise<boolean> {
  try {
    await guest.askRaw('transaction', { actions });
    return true;
  } catch (err) {
    if (!isRefusal(err)) throw err;
    guest.log.warn({ err }, 'a dirty bitmap does not follow a block job');
    return false;
  }
}
