/** Dirty bitmaps of a running guest's images: as QEMU tells them, and whether one can be relied on. (facts: block-jobs §3.5) */

/** One bitmap of one image. */
export interface DirtyBitmap {
  readonly name: string;
  /** Writes are marked in it. */
  readonly recording: boolean;
  /** A job or an export uses it. */
  readonly busy: boolean;
  /** Kept in the image when QEMU ends. */
  readonly persistent: boolean;
  /** QEMU ended without keeping it: of no use but to be removed. */
  readonly inconsistent: boolean;
  /** Bytes that one bit stands for. */
  readonly granularity: number;
  readonly dirtyBytes: number;
}

/** What QEMU tells of one node that matters to bitmaps and to images made in its likeness. */
export interface NodeImage {
  readonly bitmaps: readonly DirtyBitmap[];
  /** Names of snapshots inside the image, sorted. */
  readonly internalSnapshots: readonly string[];
  /** An image of version 2 of qcow2, which cannot keep bitmaps. */
  readonly qcow2v2: boolean;
  readonly extendedL2: boolean;
  /** Bytes the guest sees. */
  readonly capacity: number;
  /** Bytes that it takes up. */
  readonly allocated: number | undefined;
  readonly clusterSize: number | undefined;
}

export type NodeImages = ReadonlyMap<string, NodeImage>;

/** The part of an answer to `query-named-block-nodes` that is read here. */
export interface NamedNode {
  'node-name'?: string | undefined;
  'dirty-bitmaps'?: ToldBitmap[] | undefined;
  image: {
    'virtual-size': number;
    'actual-size'?: number | undefined;
    'cluster-size'?: number | undefined;
    snapshots?: { name: string }[] | undefined;
    'format-specific'?: { type?: string; data?: unknown } | undefined;
  };
}

interface ToldBitmap {
  name?: string | undefined;
  recording: boolean;
  busy?: boolean | undefined;
  persistent: boolean;
  inconsistent?: boolean | undefined;
  granularity: number;
  count: number;
}

export function nodeImages(nodes: readonly NamedNode[]): NodeImages {
  const found = new Map<string, NodeImage>();
  for (const { 'node-name': name, 'dirty-bitmaps': bitmaps = [], image } of nodes) {
    if (name === undefined) continue;
    const specific = image['format-specific'];
    const { compat, 'extended-l2': extendedL2 } = (specific?.data ?? {}) as {
      compat?: string;
      'extended-l2'?: boolean;
    };
    found.set(name, {
      bitmaps: bitmaps.flatMap(bitmapOf),
      internalSnapshots: (image.snapshots ?? []).map((snapshot) => snapshot.name).sort(),
      qcow2v2: specific?.type === 'qcow2' && compat === '0.10',
      extendedL2: extendedL2 === true,
      capacity: image['virtual-size'],
      allocated: image['actual-size'],
      clusterSize: image['cluster-size'],
    });
  }
  return found;
}

/** Bitmaps without a name belong to jobs. */
const bitmapOf = ({
  name,
  recording,
  busy,
  persistent,
  inconsistent,
  granularity,
  count,
}: ToldBitmap): DirtyBitmap[] =>
  name === undefined || name === ''
    ? []
    : [
        {
          name,
          recording,
          busy: busy === true,
          persistent,
          inconsistent: inconsistent === true,
          granularity,
          dirtyBytes: count,
        },
      ];

export const bitmapAt = (images: NodeImages, node: string, name: string): DirtyBitmap | undefined =>
  images.get(node)?.bitmaps.find((one) => one.name === name);

/** It records, lasts, and is complete. */
export const isUsable = ({ recording, persistent, inconsistent }: DirtyBitmap): boolean =>
  recording && persistent && !inconsistent;

/**
 * Whether a bitmap tells all that was written since it was made: the top image has it, and those below that were on top since
 * then, without a gap; each of them usable.
 * @param chain nodes of the disk's images, top first
 */
export function isBitmapValid(images: NodeImages, chain: readonly string[], name: string): boolean {
  const found = chain.map((node) => bitmapAt(images, node, name));
  const gap = found.indexOf(undefined);
  const upper = gap === -1 ? found : found.slice(0, gap);
  if (upper.length === 0 || found.slice(upper.length).some((one) => one !== undefined)) return false;
  return upper.every((one) => one !== undefined && isUsable(one));
}
