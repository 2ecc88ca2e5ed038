import {
  actionsByBitmap,
  backupBitmap,
  commitBitmaps,
  misleadingBitmaps,
  nodeImages,
  overlayBitmaps,
  pullBitmaps,
  type NamedNode,
} from '.';

const bitmap = (name: string, changes: object = {}) => ({
  name,
  recording: true,
  persistent: true,
  busy: false,
  granularity: 65536,
  count: 0,
  ...changes,
});
const node = (name: string, ...bitmaps: ReturnType<typeof bitmap>[]): NamedNode => ({
  'node-name': name,
  'dirty-bitmaps': bitmaps,
  image: { 'virtual-size': 1 << 20 },
});
const chain = ['top', 'mid', 'base'];

describe('bitmaps that are carried along', () => {
  test('a pull gives the top what the images that it took up had marked', () => {
    const images = nodeImages([
      node('top', bitmap('a'), bitmap('b')),
      node('mid', bitmap('a', { granularity: 131072 })),
      node('base'),
    ]);
    expect(pullBitmaps(images, chain, 2)).toEqual([
      { type: 'block-dirty-bitmap-merge', data: { node: 'top', target: 'a', bitmaps: [{ node: 'mid', name: 'a' }] } },
    ]);
    expect(pullBitmaps(images, chain, 1)).toEqual([]);
  });

  test('a pull leaves a bitmap alone that has a gap, or cannot be relied on', () => {
    const images = nodeImages([
      node('top', bitmap('gap'), bitmap('broken')),
      node('mid', bitmap('broken', { inconsistent: true })),
      node('base', bitmap('gap')),
    ]);
    expect(pullBitmaps(images, chain, undefined)).toEqual([]);
  });

  test('a bitmap of the active image misleads when what is between it and its like is merged', () => {
    const images = nodeImages([
      node(
        'top',
        bitmap('gap'),
        bitmap('broken'),
        bitmap('whole'),
        bitmap('alone'),
        bitmap('off', { recording: false }),
      ),
      node('mid', bitmap('broken', { inconsistent: true }), bitmap('whole'), bitmap('off')),
      node('base', bitmap('gap')),
    ]);
    expect(misleadingBitmaps(images, chain)).toEqual(['gap', 'broken']);
    // A commit marks in the base's own bitmap what it writes.
    expect(misleadingBitmaps(images, chain, 'base')).toEqual(['broken']);
  });

  test('the bitmaps of a middle image go to its base, each by itself', () => {
    const images = nodeImages([
      node('top', bitmap('a'), bitmap('b')),
      node('mid', bitmap('a'), bitmap('b')),
      node('base', bitmap('b')),
    ]);
    const actions = actionsByBitmap(commitBitmaps(images, chain, 1, 2));
    expect([...actions].map(([name, own]) => [name, own.map(({ type }) => type)])).toEqual([
      ['b', ['block-dirty-bitmap-merge']],
      ['a', ['block-dirty-bitmap-add', 'block-dirty-bitmap-merge']],
    ]);
  });

  test('an overlay goes on with what its base records for good', () => {
    const images = nodeImages([
      node(
        'top',
        bitmap('a', { granularity: 32768 }),
        bitmap('temporary', { persistent: false }),
        bitmap('off', { recording: false }),
      ),
    ]);
    expect(overlayBitmaps(images, 'top', 'snap')).toEqual([
      {
        type: 'block-dirty-bitmap-add',
        data: { node: 'snap', name: 'a', persistent: true, disabled: false, granularity: 32768 },
      },
    ]);
  });

  test('an incremental backup is refused when a bitmap is missing or broken', () => {
    const images = nodeImages([node('top', bitmap('a', { inconsistent: true })), node('mid'), node('base')]);
    for (const since of ['a', 'b'])
      expect(() => backupBitmap(images, chain, { since, node: 'top', name: 'backup-vda', disk: 'vda' })).toThrow(
        `checkpoint inconsistent: missing or broken bitmap '${since}' for disk 'vda'`,
      );
  });
});
