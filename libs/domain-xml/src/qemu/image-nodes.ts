/**
 * The block nodes of one image alone: to be added for a new image, taken away with an old one, opened again for writing.
 *
 * An image is told by its disk and its depth there. For one that is not in the live document yet, pass the disk as it will be:
 * with the overlay on top, or after the pivot.
 */
import { VirtError } from '@virtbus/shared';
import type { Disk } from '../elements/disk';
import { canHaveBacking, imageOf, type Image } from './block-chain';
import { layersOf, type Layers } from './block-layers';
import { imageSteps, nothingPassed, type BlockStep } from './blockdev';
import type { Guest } from './context';
import { blockStep, type PlugStep, type QmpStep } from './plug';
import type { Props } from './props';

export interface ImageNodes {
  readonly layers: Layers;
  /** Objects, data file, protocol node and slice; each step with what takes it back. */
  readonly storage: readonly PlugStep[];
  /** The format node, where there is one. */
  readonly format: readonly PlugStep[];
}

export interface NodeChoices {
  /** The node below; null for none. As the chain has it when left out. */
  readonly backing?: string | null;
  /** As its place in the chain has it when left out. */
  readonly readOnly?: boolean;
}

/** Throws `INTERNAL_ERROR` when the disk has no image at this depth. */
export function imageNodes(guest: Guest, disk: Disk, depth: number, choices: NodeChoices = {}): ImageNodes {
  const image = chosen(imageAt(disk, depth), choices);
  const layers = layersOf(guest, image);
  const own = imageSteps(guest, image, nothingPassed).map((step) => withBacking(step, layers, image, choices));
  const data = image.dataStore ? imageSteps(guest, image.dataStore, nothingPassed) : [];
  const isFormat = (step: BlockStep): boolean => step.kind === 'node' && step.props['node-name'] === layers.format;
  return {
    layers,
    storage: [...data, ...own.filter((step) => !isFormat(step))].map(blockStep),
    format: own.filter(isFormat).map(blockStep),
  };
}

/** What takes an image's nodes away, in the order in which it has to be done. */
export const imageRemoval = (guest: Guest, disk: Disk, depth: number): QmpStep[] => {
  const { storage, format } = imageNodes(guest, disk, depth, { backing: null });
  return [...storage, ...format].reverse().map(({ undo }) => undo);
};

/** The command that opens an image's topmost node again, for writing or only for reading. */
export function imageReopen(guest: Guest, disk: Disk, depth: number, readOnly: boolean): QmpStep {
  const { layers, storage, format } = imageNodes(guest, disk, depth, { readOnly });
  const node = [...storage, ...format].find(({ arguments: args }) => args['node-name'] === layers.top);
  if (!node) throw new VirtError('INTERNAL_ERROR', { detail: `image ${depth} of the disk has no block node` });
  return { command: 'blockdev-reopen', arguments: { options: [node.arguments] } };
}

/** Names of the nodes of all images of a disk, top first; the disk has to be numbered. */
export function chainLayers(guest: Guest, disk: Disk): Layers[] {
  const found: Layers[] = [];
  for (let one = imageOf(disk) ?? 'end'; typeof one === 'object'; one = one.below) found.push(layersOf(guest, one));
  return found;
}

/** The disk's image at this depth, as its nodes are made from it. */
export function imageAt(disk: Disk, depth: number): Image {
  let image = imageOf(disk) ?? 'end';
  for (let left = depth; left > 0 && typeof image === 'object'; left--) image = image.below;
  if (typeof image === 'object') return image;
  throw new VirtError('INTERNAL_ERROR', {
    detail: `disk '${disk.target.dev ?? ''}' has no image at depth ${depth}`,
  });
}

const chosen = (image: Image, { backing, readOnly = image.readOnly }: NodeChoices): Image => ({
  ...image,
  readOnly,
  ...(backing !== undefined && { below: 'end' as const }),
});

function withBacking(step: BlockStep, { format }: Layers, image: Image, { backing }: NodeChoices): BlockStep {
  if (step.kind !== 'node' || step.props['node-name'] !== format || backing === undefined) return step;
  if (!canHaveBacking(image.format)) return step;
  const props: Props = { ...step.props, backing };
  return { kind: 'node', props };
}
