/** The kit's cases of dirty bitmaps: a disk of five images, and what becomes of their bitmaps. */
import {
  backupBitmap,
  commitBitmaps,
  copyBitmaps,
  deleteBitmap,
  isBitmapValid,
  nodeImages,
  type NamedNode,
  type NodeImages,
} from '@virtbus/domain-xml';
import { isDeepStrictEqual } from 'node:util';
import type { Kit } from './kit';
import type { Send } from './qmp-shapes';

export interface BitmapCase {
  kind: string;
  expect: string;
  nodes?: string;
  expectJson?: string;
  bitmap?: string;
  incrementalFrom?: string;
  targetNode?: string;
  targetBitmap?: string;
  deleteBitmap?: string;
  mirrorNode?: string;
  shallow?: boolean;
  top?: number;
  base?: number;
}

/** Nodes of the kit's disk, top first. */
const chain = [1, 2, 3, 4, 5].map((number) => `libvirt-${number}-format`);

/** What each kind of case makes of the nodes. */
const judges: Readonly<Record<string, (images: NodeImages, one: BitmapCase) => unknown>> = {
  'bitmap-detect': (images) => detected(images),
  'bitmap-validate': (images, { bitmap = '' }) => (isBitmapValid(images, chain, bitmap) ? 'valid' : 'invalid'),
  'backup-bitmap': (images, { incrementalFrom: since = '', targetNode: node = '', targetBitmap: name = '' }) => ({
    actions: backupBitmap(images, chain, { since, node, name, disk: 'vda' }),
  }),
  'checkpoint-delete': (images, { deleteBitmap: name = '' }) => {
    const { actions, reopen } = deleteBitmap(images, chain, name);
    return { actions, ...(reopen.length > 0 && { reopenNodes: reopen }) };
  },
  'bitmap-blockcopy': (images, { mirrorNode = '', shallow = false }) => ({
    actions: copyBitmaps(images, chain, mirrorNode, shallow),
  }),
  'bitmap-blockcommit': (images, { top = 1, base = 1 }) => ({
    actions: commitBitmaps(images, chain, top - 1, base - 1),
  }),
};

/** Whether the case is about bitmaps. */
export const isBitmapCase = ({ kind }: BitmapCase): boolean => judges[kind] !== undefined;

/** Undefined is a pass. */
export function judgeBitmaps(kit: Kit, one: BitmapCase, send: Send): string | undefined {
  const judge = judges[one.kind];
  const images = nodeImages(JSON.parse(kit.read(one.nodes ?? '')) as NamedNode[]);
  const expected = one.expectJson === undefined ? one.expect : (JSON.parse(kit.read(one.expectJson)) as unknown);
  const found = judge?.(images, one);
  if (isTransaction(found)) send('transaction', { actions: found.actions });
  return isDeepStrictEqual(found, expected)
    ? undefined
    : `expected ${JSON.stringify(expected)}, got ${JSON.stringify(found)}`;
}

const isTransaction = (found: unknown): found is { actions: unknown } =>
  typeof found === 'object' && found !== null && 'actions' in found;

/** Those of the first thirty images that have something. */
function detected(images: NodeImages): unknown {
  return Array.from({ length: 30 }, (_, number) => `libvirt-${number}-format`).flatMap((node) => {
    const image = images.get(node);
    if (!image || (image.bitmaps.length === 0 && image.internalSnapshots.length === 0)) return [];
    const { bitmaps, internalSnapshots, qcow2v2 } = image;
    return [{ node, qcow2v2, bitmaps, ...(internalSnapshots.length > 0 && { internalSnapshots }) }];
  });
}
