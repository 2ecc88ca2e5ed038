import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dropReplaced, readReplaced, replacedIn, replaceFile } from './replace';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'vb-replace-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('a file that is replaced', () => {
  test('is the old one whole when the new one cannot be written, and nothing is left beside it', () => {
    const path = join(root, 'record.json');
    replaceFile(path, 'old', false);
    mkdirSync(`${path}.new`);
    expect(() => replaceFile(path, 'new', true)).toThrow(/^system error: cannot write .*record\.json: .*EISDIR/);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  test('in a folder that is not there says which', () => {
    const path = join(root, 'nowhere', 'record.json');
    expect(() => replaceFile(path, 'x', false)).toThrow(`system error: cannot write ${path}: `);
    expect(readdirSync(root)).not.toContain('nowhere');
  });

  test('on a disk that is full says so', () => {
    // A link to /dev/full: every write to it ends in ENOSPC (full(4)).
    const path = join(root, 'full');
    symlinkSync('/dev/full', `${path}.new`);
    expect(() => replaceFile(path, 'x', false)).toThrow(`cannot write ${path}: no space left on the device`);
    expect(existsSync(path)).toBe(false);
  });

  test('in a folder that is not ours says so', () => {
    const folder = join(root, 'theirs');
    mkdirSync(folder, { mode: 0o500 });
    const path = join(folder, 'x');
    asNobody(() => expect(() => replaceFile(path, 'x', false)).toThrow(`cannot write ${path}: permission denied`));
  });

  test('is found under either name, once, and taken away under both', () => {
    const [whole, cut, both] = ['whole', 'cut', 'both'].map((name) => join(root, `${name}.json`)) as [
      string,
      string,
      string,
    ];
    replaceFile(whole, 'a', false);
    writeFileSync(`${cut}.new`, 'b');
    replaceFile(both, 'c', false);
    writeFileSync(`${both}.new`, 'half of wh');
    writeFileSync(join(root, 'notes.txt'), '');
    expect(replacedIn(root, '.json').sort()).toEqual(['both.json', 'cut.json', 'whole.json']);
    expect([whole, cut, both, join(root, 'none.json')].map(readReplaced)).toEqual(['a', 'b', 'c', undefined]);
    for (const path of [whole, cut, both]) dropReplaced(path);
    expect(readdirSync(root)).toEqual(['notes.txt']);
  });
});

/** Root may write anywhere: as root, act as somebody else for a moment. */
function asNobody(act: () => void): void {
  if (process.getuid?.() !== 0) return act();
  chmodSync(root, 0o711);
  process.seteuid!(65_534);
  try {
    act();
  } finally {
    process.seteuid!(0);
  }
}
