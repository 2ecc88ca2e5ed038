import fs, {
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
    mkdirSync(`${path}.part`);
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
    symlinkSync('/dev/full', `${path}.part`);
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
    writeFileSync(`${both}.new`, 'a later one');
    writeFileSync(`${join(root, 'begun.json')}.part`, 'half of wh');
    writeFileSync(`${cut}.part`, 'half of wh');
    writeFileSync(join(root, 'notes.txt'), '');
    expect(replacedIn(root, '.json').sort()).toEqual(['both.json', 'cut.json', 'whole.json']);
    expect([whole, cut, both, join(root, 'none.json')].map(readReplaced)).toEqual(['a', 'b', 'c', undefined]);
    expect(readReplaced(join(root, 'begun.json'))).toBeUndefined();
    for (const path of [whole, cut, both]) dropReplaced(path);
    expect(readdirSync(root).sort()).toEqual(['begun.json.part', 'notes.txt']);
  });

  const old = 'the old one';
  const fresh = 'the new one, which is longer';
  const left: Record<string, Record<string, string>> = {
    nothing: {},
    'the old one': { '': old },
    'the old one under its second name': { '.new': old },
    'both names': { '': old, '.new': 'a former attempt' },
  };
  const cases = Object.entries(left).flatMap(([what, files]) =>
    [false, true].map((durable) => ({ what, files, durable })),
  );

  test.each(cases)('is whole wherever its writer is killed: $what before, durable: $durable', ({ files, durable }) => {
    const before = files[''] ?? files['.new'];
    let steps = 0;
    for (let killedAt = 1; ; killedAt++) {
      const path = join(root, `${killedAt}.json`);
      for (const [ending, content] of Object.entries(files)) writeFileSync(path + ending, content);
      steps = stepsUntilKilled(() => replaceFile(path, fresh, durable), killedAt);
      const found = readReplaced(path);
      expect([before, fresh]).toContain(found);
      expect(replacedIn(root).includes(`${killedAt}.json`)).toBe(found !== undefined);
      if (steps < killedAt) break;
      // And whoever comes back writes it again.
      replaceFile(path, 'again', durable);
      expect(readReplaced(path)).toBe('again');
      dropReplaced(path);
      expect(readReplaced(path)).toBeUndefined();
    }
    expect(steps).toBeGreaterThanOrEqual(durable ? 5 : 6);
  });
});

/**
 * Do it until its `killedAt`th call of the system, of which a write does half; what follows, also what would put things in
 * order, does nothing.
 * @returns the calls that were made: fewer when it was done before
 */
function stepsUntilKilled(work: () => void, killedAt: number): number {
  let steps = 0;
  const calls = [
    'openSync',
    'writeFileSync',
    'ftruncateSync',
    'fsyncSync',
    'closeSync',
    'renameSync',
    'rmSync',
  ] as const;
  const spies = calls.map((name) => {
    const real = fs[name] as (...args: unknown[]) => unknown;
    return jest.spyOn(fs, name).mockImplementation(((...args: unknown[]): unknown => {
      // A descriptor is closed by the kernel.
      if (++steps < killedAt || name === 'closeSync') return real(...args);
      if (steps === killedAt && name === 'writeFileSync')
        fs.writeSync(args[0] as number, (args[1] as string).slice(0, 9));
      throw new Error('killed');
    }) as never);
  });
  try {
    work();
  } catch {
    // It is dead.
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return steps;
}

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
