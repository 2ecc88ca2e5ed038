/** Images of a disk as QEMU's nodes: the node of each, their bitmaps, and images taken out of the graph. */
import {
  chainLayers,
  imageNodes,
  imageRemoval,
  type BitmapAction,
  type Disk,
  type NodeImages,
  type QmpStep,
} from '@virtbus/domain-xml';
import type { QemuGuest } from '../guest';
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
