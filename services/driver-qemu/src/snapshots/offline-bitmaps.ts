/**
 * Dirty bitmaps of images that are merged while the domain is off: read from their headers and changed with qemu-img, by the
 * rules for those of a running guest. Each image is opened by itself where it can be: two that stand on the same one would
 * keep each other from it.
 */
import { formatLocation } from '@virtbus/disk-image';
import {
  actionsByBitmap,
  commitBitmaps,
  marksItself,
  misleadingBitmaps,
  nodeImages,
  type BitmapAction,
  type NamedNode,
} from '@virtbus/domain-xml';
import type { ChainLayer } from '@virtbus/shared';
import { qemuImg } from './qemu-img';

/**
 * Images have been merged: their bitmaps follow, or go from the active image, where they would seem to be all that was written.
 * @param layers the whole chain, top first
 * @param top depth of the uppermost image that was merged, into the one at the depth `base`
 */
export async function mergeOfflineBitmaps(
  layers: readonly ChainLayer[],
  { top, base }: { top: number; base: number },
  signal: AbortSignal,
): Promise<void> {
  const images = nodeImages(await Promise.all(layers.map((layer, depth) => asNode(layer, depth, signal))));
  const chain = layers.map((_, depth) => String(depth));
  const into = chain[base]!;
  const lost = new Set(top === 0 ? [] : misleadingBitmaps(images, chain, into));
  for (const [name, actions] of actionsByBitmap(commitBitmaps(images, chain, top, base, false))) {
    const isDone = await tried(layers, actions, signal);
    if (isDone || marksItself(images, into, name)) continue;
    if (top > 0) lost.add(name);
    // It may have been added, and is empty then: it would tell that nothing was written.
    else await tried(layers, [{ type: 'block-dirty-bitmap-remove', data: { node: into, name } }], signal);
  }
  for (const name of lost)
    await change(layers, { type: 'block-dirty-bitmap-remove', data: { node: '0', name } }, signal);
}

interface HeaderBitmap {
  name: string;
  granularity: number;
  flags: string[];
}

/** The image as QEMU would tell of it: its depth is its name. */
async function asNode({ location, format }: ChainLayer, depth: number, signal: AbortSignal): Promise<NamedNode> {
  const node = { 'node-name': String(depth), image: { 'virtual-size': 0 } };
  if (format !== 'qcow2') return node;
  const told = JSON.parse(
    await qemuImg(['info', '--output=json', '-U', '-f', format, formatLocation(location)], signal),
  ) as { 'format-specific'?: { data?: { bitmaps?: HeaderBitmap[] } } };
  const bitmaps = told['format-specific']?.data?.bitmaps ?? [];
  return {
    ...node,
    'dirty-bitmaps': bitmaps.map(({ name, granularity, flags }) => ({
      ...{ name, granularity, count: 0, persistent: true },
      recording: flags.includes('auto'),
      inconsistent: flags.includes('in-use'),
    })),
  };
}

async function tried(
  layers: readonly ChainLayer[],
  actions: readonly BitmapAction[],
  signal: AbortSignal,
): Promise<boolean> {
  try {
    for (const action of actions) await change(layers, action, signal);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

async function change(layers: readonly ChainLayer[], action: BitmapAction, signal: AbortSignal): Promise<void> {
  const { location, format } = layers[Number(action.data.node)]!;
  const image = ['-f', format, formatLocation(location)];
  if (action.type === 'block-dirty-bitmap-add') {
    const { name, granularity } = action.data;
    const grain = granularity === undefined ? [] : ['-g', String(granularity)];
    await qemuImg(['bitmap', '--add', ...grain, ...image, name], signal);
  } else if (action.type === 'block-dirty-bitmap-remove') {
    await qemuImg(['bitmap', '--remove', ...image, action.data.name], signal);
  } else {
    for (const { node, name } of action.data.bitmaps) {
      const from = ['--merge', name, '-b', alone(layers[Number(node)]!)];
      await qemuImg(['bitmap', ...from, ...image, action.data.target], signal);
    }
  }
}

const alone = ({ location, format }: ChainLayer): string =>
  `json:${JSON.stringify({ driver: format, backing: null, 'file.filename': formatLocation(location) })}`;
