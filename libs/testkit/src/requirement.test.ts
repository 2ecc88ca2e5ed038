import { readFileSync } from 'node:fs';
import { needsProgram, requirement } from './requirement';
import { temporaryFolder } from './temporary-folder';

const always = requirement('nothing', () => true);
let ran = false;
always.test('a test whose requirement is met runs', () => {
  ran = true;
});

test('and did run', () => {
  expect(ran).toBe(true);
});

test('a probe that throws means the requirement is not met', () => {
  const broken = requirement('a moon', () => {
    throw new Error('no telescope');
  });
  expect(broken.met).toBe(false);
});

test('an installed program is found by name, one that is not is not', () => {
  expect(needsProgram('sh').met).toBe(true);
  expect(needsProgram('no-such-program').met).toBe(false);
});

test('a test whose requirement is not met is skipped, printed and noted for the summary', () => {
  using folder = temporaryFolder();
  const notes = folder.file('skips');
  const before = process.env['VIRTBUS_TEST_SKIPS'];
  process.env['VIRTBUS_TEST_SKIPS'] = notes;
  const told = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
  const skip = jest.spyOn(globalThis.test, 'skip').mockImplementation(() => undefined);
  try {
    requirement('a moon', () => false).test('the tide rises', () => undefined);
    expect(skip).toHaveBeenCalledWith('the tide rises', expect.any(Function), undefined);
    expect(told).toHaveBeenCalledWith('skipped: the tide rises: needs a moon\n');
    expect(JSON.parse(readFileSync(notes, 'utf8'))).toEqual({ test: 'the tide rises', needs: 'a moon' });
  } finally {
    skip.mockRestore();
    told.mockRestore();
    if (before === undefined) delete process.env['VIRTBUS_TEST_SKIPS'];
    else process.env['VIRTBUS_TEST_SKIPS'] = before;
  }
});
