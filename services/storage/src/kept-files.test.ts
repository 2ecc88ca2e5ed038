/** What is kept of commands does not fill the disk of a host that is busy for long. */
import { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeptFiles } from './kept-files';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-kept-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const kept = (): string[] => readdirSync(folder).sort();

test('the oldest go as new ones come, also those of a former process', () => {
  const former = new KeptFiles(folder, 3);
  for (const id of ['a', 'b', 'c']) former.write(id, id, false);
  ['c', 'a', 'b'].forEach((id, n) => utimesSync(join(folder, `${id}.json`), n, Date.now() / 1_000 - 60 + n));
  const files = new KeptFiles(folder, 3);
  files.write('d', 'd', false);
  expect(kept()).toEqual(['a.json', 'b.json', 'd.json']);
  files.write('a', 'again', true);
  files.write('e', 'e', false);
  expect(kept()).toEqual(['a.json', 'd.json', 'e.json']);
  expect([files.read('a'), files.read('b')]).toEqual(['again', undefined]);
  files.drop('a');
  expect(kept()).toEqual(['d.json', 'e.json']);
});

test('nothing is kept for longer than a day, however long the process lives', () => {
  const files = new KeptFiles(folder);
  jest.useFakeTimers({ now: Date.now(), doNotFake: ['nextTick', 'setImmediate'] });
  try {
    files.write('old', '', false);
    jest.advanceTimersByTime(86_400_001);
    files.write('new', '', false);
    expect(kept()).toEqual(['new.json']);
  } finally {
    jest.useRealTimers();
  }
});
