import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newOverlay, type NewImage } from './new-overlay';
import { readHeader } from './read-header';

const mib = 2 ** 20;
const backing = { string: '/images/base.raw', format: 'raw' };

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-overlay-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function written({ length, pieces }: NewImage): string {
  const path = join(folder, 'ours.qcow2');
  const file = openSync(path, 'w');
  ftruncateSync(file, length);
  for (const { offset, bytes } of pieces) writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
  return path;
}

const bytesOf = ({ length, pieces }: NewImage): Buffer => {
  const all = Buffer.alloc(length);
  for (const { offset, bytes } of pieces) bytes.copy(all, offset);
  return all;
};

const qemuImg = (...words: string[]): string => execFileSync('qemu-img', words, { encoding: 'utf8' });

/** What qemu-img says of an image, without its name and what the file system makes of it. */
const told = (path: string): object => {
  const {
    filename: _name,
    'actual-size': _size,
    'dirty-flag': _dirty,
    ...info
  } = JSON.parse(qemuImg('info', '-U', '--output=json', path)) as Record<string, unknown>;
  return info;
};

describe('a new overlay', () => {
  test.each([
    [4 * mib, 65536],
    [512, 65536],
    [2 ** 40, 65536],
    [3 * 2 ** 30 + 512, 4096],
    [100 * mib, 512],
    [64 * 2 ** 40, 2 * mib],
  ])('of %d bytes with clusters of %d is what qemu-img makes', (capacity, clusterSize) => {
    const base = join(folder, 'base.raw');
    closeSync(openSync(base, 'w'));
    const image = newOverlay({ capacity, clusterSize, backing: { string: base, format: 'raw' } });
    const ours = written(image!);
    expect(JSON.parse(qemuImg('check', '--output=json', ours))).toMatchObject({ 'check-errors': 0 });
    const theirs = join(folder, 'theirs.qcow2');
    const options = `cluster_size=${clusterSize}`;
    qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', '-o', options, theirs, String(capacity));
    expect(told(ours)).toEqual(told(theirs));
  });

  test('reads as what it was made with', async () => {
    const bytes = bytesOf(newOverlay({ capacity: 4 * mib, backing })!);
    const reader = { size: bytes.length, read: async (at: number, n: number) => bytes.subarray(at, at + n) };
    expect(await readHeader(reader, { image: 'ours', format: 'qcow2' })).toMatchObject({
      capacity: BigInt(4 * mib),
      clusterSize: 65536,
      compat: '1.1',
      backing,
    });
  });

  test.each([
    ['a size that is not of whole sectors', { capacity: 1000 }],
    ['no size', { capacity: 0 }],
    ['clusters of no power of two', { clusterSize: 65000 }],
    ['a table of more than one block', { capacity: 2 ** 40, clusterSize: 512 }],
    ['a name that does not fit', { clusterSize: 512, backing: { string: `/${'x'.repeat(500)}`, format: 'raw' } }],
    ['a name that is too long', { backing: { string: 'x'.repeat(1024), format: 'raw' } }],
  ])('is not ours to lay out with %s', (_what, choices) => {
    expect(newOverlay({ capacity: 4 * mib, backing, ...choices })).toBeUndefined();
  });
});
