import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync, type Stats } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MadeFormats } from './made-formats';

const pool = '00000000-0000-4000-8000-000000000001';
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vb-made-'));
  mkdirSync(join(folder, 'pools'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function image(name: string): Stats {
  writeFileSync(join(folder, name), name);
  return statSync(join(folder, name));
}
const formats = (): MadeFormats => new MadeFormats(folder);

describe('the format of an image that we made', () => {
  test('is known of that file alone, on whatever device its file system lies by now', () => {
    const [a, b] = [image('a'), image('b')];
    formats().note(pool, 'a', 'qcow2', a);
    expect(formats().formatOf(pool, 'a', { ...a, dev: a.dev + 1 })).toBe('qcow2');
    expect(formats().formatOf(pool, 'a', b)).toBeUndefined();
  });

  test('is known from notes that name the device, too', () => {
    const a = image('a');
    const file = `${a.dev + 1}:${a.ino}:${a.birthtimeMs}`;
    writeFileSync(join(folder, 'pools', `${pool}.made`), JSON.stringify({ a: { format: 'qcow2', file } }));
    expect(formats().formatOf(pool, 'a', a)).toBe('qcow2');
  });

  test('is not forgotten for a folder that shows none of them, nor for a file that came while it was looked', () => {
    const made = formats();
    const [a, b, c] = [image('a'), image('b'), image('c')];
    made.note(pool, 'a', 'qcow2', a);
    made.note(pool, 'b', 'raw', b);
    const noted = made.names(pool);
    made.keepOnly(pool, noted, new Set());
    expect(made.names(pool)).toEqual(['a', 'b']);
    made.note(pool, 'c', 'qcow2', c);
    made.keepOnly(pool, noted, new Set(['b']));
    expect(formats().names(pool)).toEqual(['b', 'c']);
  });
});
