import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import promises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { newOverlay } from '@virtbus/disk-image';
import { createLog } from '@virtbus/shared/log';
import { MadeFiles } from './made-files';

const log = createLog({ service: 'test', level: 'silent' });
const domain = '00000000-0000-4000-8000-000000000001';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vb-made-'));
  mkdirSync(at('images'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const opened = (): MadeFiles => new MadeFiles(at('made'), log);
const nobody = async (): Promise<boolean> => false;
const path = (): string => at('images/new.qcow2');

async function make(claim = 'c1'): Promise<MadeFiles> {
  const files = opened();
  await files.make({ domain, claim }, path(), 'vda');
  return files;
}

describe('a file that is made for a command', () => {
  test("is empty and its owner's alone, and the same command finds it again", async () => {
    const files = await make();
    expect(statSync(path())).toMatchObject({ size: 0, mode: 0o100600 });
    await files.make({ domain, claim: 'c1' }, path(), 'vda');
    await expect(files.make({ domain, claim: 'c2' }, path(), 'vda')).rejects.toMatchObject({
      code: 'CONFIG_UNSUPPORTED',
      message: `unsupported configuration: external destination file for disk vda already exists and is not a block device: ${path()}; choose another name, remove the file, or ask to reuse it`,
    });
    expect(files.makers).toEqual([expect.objectContaining({ domain, claim: 'c1' })]);
  });

  test('is made also where its note has neither name for a moment, while it is kept again', async () => {
    const { open } = promises;
    using _between = jest.spyOn(promises, 'open').mockImplementation((name, ...how) => {
      const gone = Object.assign(new Error('between two names'), { code: 'ENOENT' });
      return String(name).startsWith(at('made')) ? Promise.reject(gone) : open(name, ...how);
    });
    await make();
    expect(existsSync(path())).toBe(true);
  });

  test('is not made where there is no folder, and nothing is noted then', async () => {
    const files = opened();
    await expect(files.make({ domain, claim: 'c1' }, at('nowhere/x'), 'vda')).rejects.toThrow(
      `cannot create ${at('nowhere/x')}: there is no folder ${at('nowhere')}; make it first`,
    );
    expect(opened().makers).toEqual([]);
  });

  test.each<[string, boolean, boolean]>([
    ['', false, false],
    ['', true, false],
    ['data', false, true],
    ['data', true, false],
  ])('with content %p, its command undone: %p, is there afterwards: %p', async (content, undone, there) => {
    await make();
    writeFileSync(path(), content);
    // As after a crash.
    const files = opened();
    await files.over({ domain, claims: ['c1'] }, undone, nobody);
    expect(existsSync(path())).toBe(there);
    expect(opened().makers).toEqual([]);
  });

  test('stays when somebody uses it, when it is another file by now, and when another command is over', async () => {
    const files = await make();
    await files.over({ domain, claims: ['c2'] }, true, nobody);
    expect(files.makers).toHaveLength(1);
    await files.over({ domain, claims: ['c1'] }, true, async () => true);
    expect(existsSync(path())).toBe(true);

    rmSync(path());
    const again = await make();
    writeFileSync(at('images/other'), 'the operator has put this here');
    renameSync(at('images/other'), path());
    await again.over({ domain, claims: ['c1'] }, true, nobody);
    expect(existsSync(path())).toBe(true);
  });

  test('is not taken for one of its name that another command made before, and that has gone since', async () => {
    const files = await make('c1');
    rmSync(path());
    await files.make({ domain, claim: 'c2' }, path(), 'vda');
    // The system may give the new file the number that the old one had.
    expect(files.makers).toEqual([expect.objectContaining({ claim: 'c2' })]);
    expect(opened().makers).toEqual([expect.objectContaining({ claim: 'c2' })]);
    await files.over({ domain, claims: ['c1'] }, true, nobody);
    expect(existsSync(path())).toBe(true);
  });

  test('is not removed for one of its name that goes just then', async () => {
    const files = await make('c1');
    let made: Promise<boolean> | undefined;
    await files.over({ domain, claims: ['c1'] }, false, async () => {
      rmSync(path());
      made = files.make({ domain, claim: 'c2' }, path(), 'vda');
      await Promise.race([made, setTimeout(100)]);
      return false;
    });
    await made;
    expect(existsSync(path())).toBe(true);
    expect(files.makers).toEqual([expect.objectContaining({ claim: 'c2' })]);
  });

  describe('as a whole overlay', () => {
    const content = newOverlay({ capacity: 2 ** 20, backing: { string: '/base', format: 'raw' } })!;
    const makeWhole = (files: MadeFiles, claim = 'c1') => files.make({ domain, claim }, path(), 'vda', content);

    test('holds it, and the same command leaves alone what somebody may write to by now', async () => {
      const files = opened();
      await Promise.all([makeWhole(files), makeWhole(files)]);
      expect(statSync(path()).size).toBe(content.length);
      writeFileSync(path(), 'written by a guest');
      await makeWhole(opened());
      expect(readFileSync(path(), 'utf8')).toBe('written by a guest');
    });

    test('is made whole by the same command when we died over it', async () => {
      const files = opened();
      await files.make({ domain, claim: 'c1' }, path(), 'vda');
      await makeWhole(opened());
      expect(statSync(path()).size).toBe(content.length);
    });

    test('is made whole also when we died while its note was kept again, between its two names', async () => {
      const files = opened();
      await files.make({ domain, claim: 'c1' }, path(), 'vda');
      const [note] = readdirSync(at('made')).filter((name) => name.endsWith('.json'));
      renameSync(at(`made/${note}`), at(`made/${note}.new`));
      await makeWhole(opened());
      expect(statSync(path()).size).toBe(content.length);
    });

    test.each([
      ['', false],
      ['a cluster', true],
    ])('that holds %p more is there when its command is over: %p', async (more, there) => {
      await makeWhole(opened());
      appendFileSync(path(), more);
      await opened().over({ domain, claims: ['c1'] }, false, nobody);
      expect(existsSync(path())).toBe(there);
    });

    test('is its own once a guest stands on it, also while it holds nothing', async () => {
      const files = opened();
      await makeWhole(files);
      files.taken(domain, new Set([path()]));
      await opened().over({ domain, claims: ['c1'] }, false, nobody);
      expect([existsSync(path()), opened().makers]).toEqual([true, []]);
    });

    test('goes when it cannot be written', async () => {
      const files = opened();
      const unwritable = { length: 2 ** 60, pieces: [] };
      await expect(files.make({ domain, claim: 'c1' }, path(), 'vda', unwritable)).rejects.toThrow();
      expect([existsSync(path()), files.makers]).toEqual([false, []]);
    });
  });
});
