/**
 * What becomes of dirty bitmaps in backups, checkpoints, copies, commits, pulls and snapshots: actions for QMP `transaction`, in
 * libvirt's order. Nodes are those of the images' formats, top first. (facts: block-jobs §3)
 */
import { VirtError } from '@virtbus/shared';
import { bitmapAt, isBitmapValid, isUsable, type DirtyBitmap, type NodeImages } from './bitmaps';

export type BitmapAction =
  | {
      type: 'block-dirty-bitmap-add';
      data: { node: string; name: string; persistent: boolean; disabled: boolean; granularity?: number };
    }
  | { type: 'block-dirty-bitmap-remove'; data: { node: string; name: string } }
  | {
      type: 'block-dirty-bitmap-merge';
      data: { node: string; target: string; bitmaps: { node: string; name: string }[] };
    };

/** Marks what the guest writes to a job's target between the end of copying and the end of the job. */
export const activeWrites = 'libvirt-tmp-activewrite';

/** To be done with the pivot of a copy or a commit, before `job-complete`. */
export const beginActiveWrites = (node: string): BitmapAction[] => [add(node, activeWrites, { persistent: false })];

/** Undoes it when the pivot did not happen. */
export const endActiveWrites = (node: string): BitmapAction[] => [remove(node, activeWrites)];

function add(
  node: string,
  name: string,
  { persistent, disabled = false, granularity }: { persistent: boolean; disabled?: boolean; granularity?: number },
): BitmapAction {
  const data = { node, name, persistent, disabled, ...(granularity !== undefined && { granularity }) };
  return { type: 'block-dirty-bitmap-add', data };
}

const remove = (node: string, name: string): BitmapAction => ({
  type: 'block-dirty-bitmap-remove',
  data: { node, name },
});

const merge = (node: string, target: string, bitmaps: { node: string; name: string }[]): BitmapAction => ({
  type: 'block-dirty-bitmap-merge',
  data: { node, target, bitmaps },
});

/** The bitmap of a checkpoint, on the disk's top image. */
export const checkpointBitmap = (node: string, name: string): BitmapAction[] => [add(node, name, { persistent: true })];

/**
 * An incremental backup: all that is marked since a checkpoint, in a temporary bitmap.
 * Throws `CHECKPOINT_INCONSISTENT` when the checkpoint's bitmap cannot be relied on.
 * @param disk its target, for the message
 */
export function backupBitmap(
  images: NodeImages,
  chain: readonly string[],
  { since, node, name, disk }: { since: string; node: string; name: string; disk: string },
): BitmapAction[] {
  if (!isBitmapValid(images, chain, since))
    throw new VirtError('CHECKPOINT_INCONSISTENT', {
      detail: `missing or broken bitmap '${since}' for disk '${disk}'`,
    });
  const sources = carriers(images, chain, since);
  const granularity = granularityOf(sources);
  return [
    add(node, name, { persistent: false, disabled: true, granularity }),
    merge(
      node,
      name,
      sources.map(({ node: source }) => ({ node: source, name: since })),
    ),
  ];
}

export interface CheckpointDeletion {
  /** Images below the top that have to be opened for writing first, in this order; and closed for it again afterwards. */
  readonly reopen: readonly string[];
  readonly actions: readonly BitmapAction[];
}

/** Takes a checkpoint's bitmap away from every image that has it. */
export function deleteBitmap(images: NodeImages, chain: readonly string[], name: string): CheckpointDeletion {
  const nodes = carriers(images, chain, name).map(({ node }) => node);
  return {
    reopen: nodes.filter((node) => node !== chain[0]).reverse(),
    actions: nodes.map((node) => remove(node, name)),
  };
}

/** A snapshot: what is marked in the old top goes on being marked in the overlay. */
export const overlayBitmaps = (images: NodeImages, old: string, overlay: string): BitmapAction[] =>
  (images.get(old)?.bitmaps ?? [])
    .filter((bitmap) => isUsable(bitmap))
    .map(({ name, granularity }) => add(overlay, name, { persistent: true, granularity }));

/**
 * A copy is about to be the disk's image: it gets the bitmaps of what was copied.
 * @param shallow what lies below the top was not copied
 */
export const copyBitmaps = (
  images: NodeImages,
  chain: readonly string[],
  mirror: string,
  shallow: boolean,
): BitmapAction[] => [
  ...mergedBitmaps(images, chain, shallow ? 1 : chain.length, mirror, true),
  ...endActiveWrites(mirror),
];

/**
 * A commit ends: the base gets the bitmaps of what was committed.
 * @param top depth of the uppermost image that is committed; 0 is the active layer
 * @param active whether a guest goes on writing meanwhile to what it is committed to
 */
export const commitBitmaps = (
  images: NodeImages,
  chain: readonly string[],
  top: number,
  base: number,
  active = top === 0,
): BitmapAction[] => {
  const target = chain[base] ?? '';
  const actions = mergedBitmaps(images, chain.slice(top), base - top, target, active);
  return active ? [...actions, ...endActiveWrites(target)] : actions;
};

/**
 * A pull ends: the top gets the bitmaps of the images that it took up.
 * @param base depth of the image that stays below it; undefined when none does
 */
export function pullBitmaps(images: NodeImages, chain: readonly string[], base: number | undefined): BitmapAction[] {
  const [top = ''] = chain;
  return mergedBitmaps(images, chain, base ?? chain.length, top, false);
}

/**
 * Bitmaps of the active image that would come to seem whole when images below it are merged, though between it and the others
 * of their name something is missing now, or cannot be relied on.
 * @param base where the images are merged into by a commit, which marks what it writes in the bitmaps that are there already
 */
export const misleadingBitmaps = (images: NodeImages, chain: readonly string[], base?: string): string[] =>
  (images.get(chain[0] ?? '')?.bitmaps ?? []).flatMap((bitmap) => {
    const { name } = bitmap;
    const wouldMislead = isUsable(bitmap) && !isBitmapValid(images, chain, name) && !marksItself(images, base, name);
    return wouldMislead ? [name] : [];
  });

/** Whether a bitmap of this image is there to be marked by what a job writes. */
export function marksItself(images: NodeImages, node: string | undefined, name: string): boolean {
  const own = node === undefined ? undefined : bitmapAt(images, node, name);
  return own !== undefined && isUsable(own);
}

/** The actions of each bitmap by itself: one that fails need not keep the others. */
export function actionsByBitmap(actions: readonly BitmapAction[]): Map<string, BitmapAction[]> {
  const found = new Map<string, BitmapAction[]>();
  for (const action of actions) {
    const name = action.type === 'block-dirty-bitmap-merge' ? action.data.target : action.data.name;
    found.set(name, [...(found.get(name) ?? []), action]);
  }
  return found;
}

/** Merges the usable bitmaps of the first `count` images into the target, which may be the first of them itself. */
function mergedBitmaps(
  images: NodeImages,
  chain: readonly string[],
  count: number,
  target: string,
  withActiveWrites: boolean,
): BitmapAction[] {
  const names = (images.get(chain[0] ?? '')?.bitmaps ?? []).map(({ name }) => name).reverse();
  return names.flatMap((name) => {
    if (name === activeWrites || !isBitmapValid(images, chain, name)) return [];
    const sources = carriers(images, chain.slice(0, count), name);
    const from = sources.filter(({ node }) => node !== target).map(({ node }) => ({ node, name }));
    if (withActiveWrites) from.push({ node: target, name: activeWrites });
    if (from.length === 0) return [];
    const isThere = bitmapAt(images, target, name) !== undefined;
    const granularity = granularityOf(sources);
    return [...(isThere ? [] : [add(target, name, { persistent: true, granularity })]), merge(target, name, from)];
  });
}

interface Carrier {
  node: string;
  bitmap: DirtyBitmap;
}

/** The nodes that have a bitmap of this name, top first. */
function carriers(images: NodeImages, chain: readonly string[], name: string): Carrier[] {
  return chain.flatMap((node) => {
    const bitmap = bitmapAt(images, node, name);
    return bitmap ? [{ node, bitmap }] : [];
  });
}

/** The coarsest: a bitmap that is merged into has to cover what each of them marks. */
const granularityOf = (sources: readonly Carrier[]): number =>
  Math.max(...sources.map(({ bitmap: { granularity } }) => granularity));
