import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Filesystem } from '@virtbus/domain-xml';
import { silent } from '@virtbus/shared/log';
import { temporaryFolder } from '@virtbus/testkit';
import { GivenFolders } from './given-folders';
import { resolveInside } from './inside';

const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const book = folder.file('given.json');
const tree = folder.file('tree');
const elsewhere = folder.file('elsewhere');
mkdirSync(join(tree, 'sub'), { recursive: true });
mkdirSync(elsewhere);
writeFileSync(join(tree, 'sub', 'file'), 'given\n');
writeFileSync(join(elsewhere, 'file'), 'kept\n');
symlinkSync(tree, folder.file('alias'));
symlinkSync(elsewhere, join(tree, 'link'));
symlinkSync('sub/file', join(tree, 'name'));

const mount = (dir: string, more: Partial<Filesystem> = {}): Filesystem => ({
  type: 'mount',
  source: { dir },
  target: { dir: '/mnt' },
  ...more,
});
const given = (...filesystems: Filesystem[]): GivenFolders => {
  const folders = new GivenFolders(book, silent);
  folders.give(filesystems);
  return folders;
};

test('a link below a folder that a container can write is not followed, by whatever name and after whatever time', () => {
  given(mount(folder.file('alias')));
  const later = given();
  for (const name of ['tree', 'alias'])
    for (const link of ['link', 'link/file', 'name'])
      expect(() => later.open(folder.file(name, link))).toThrow(/leads through a link in '.*tree'/);
  using opened = later.open(folder.file('alias', 'sub'));
  expect(readFileSync(join(opened!.path, 'file'), 'utf8')).toBe('given\n');
  using file = later.open(join(tree, 'sub', 'file'));
  expect(statSync(file!.path).isFile()).toBe(true);
});

test('the folder itself, and all that lies elsewhere, is the operator’s', () => {
  const folders = given(mount(tree));
  expect(folders.open(tree)).toBeUndefined();
  expect(folders.open(folder.file('alias'))).toBeUndefined();
  expect(folders.open(join(elsewhere, 'file'))).toBeUndefined();
  expect(() => folders.mustNotHold(join(elsewhere, 'none'), 'an image')).not.toThrow();
  expect(() => folders.mustNotHold(join(tree, 'none'), 'an image')).toThrow(/an image, '.*none', lies in '.*tree'/);
});

test('what a container cannot write, or has all of, leads nobody astray', () => {
  const folders = given(mount('/'), mount(elsewhere, { readonly: true }));
  symlinkSync(tree, join(elsewhere, 'back'));
  expect(() => folders.mustNotHold(join(elsewhere, 'file'), 'an image')).not.toThrow();
  expect(() => folders.mustNotHold(folder.file('back'), 'an image')).not.toThrow();
  expect(() => folders.open(join(elsewhere, 'back', 'link'))).toThrow(/leads through a link/);
});

test('a path of a container’s own leads nowhere but below its root', () => {
  symlinkSync('/sub', join(tree, 'absolute'));
  symlinkSync('../../../sub', join(tree, 'climbs'));
  symlinkSync('round', join(tree, 'round'));
  expect(resolveInside(tree, '/absolute/file')).toBe('/sub/file');
  expect(resolveInside(tree, '/climbs/file')).toBe('/sub/file');
  expect(resolveInside(tree, '/name')).toBe('/sub/file');
  expect(resolveInside(tree, '/link/file')).toBe(join(elsewhere, 'file'));
  expect(resolveInside(tree, '/none/there')).toBe('/none/there');
  expect(() => resolveInside(tree, '/round')).toThrow('too many links');
});

test('a list that is damaged keeps no driver from coming back, nor one that cannot be written a container in ignorance', () => {
  writeFileSync(folder.file('damaged.json'), '["/srv');
  const folders = new GivenFolders(folder.file('damaged.json'), silent);
  folders.give([mount(tree)]);
  expect(() => new GivenFolders(folder.file('damaged.json'), silent).open(join(tree, 'link'))).toThrow(/leads through/);
  const nowhere = new GivenFolders(folder.file('none', 'list.json'), silent);
  for (let time = 0; time < 2; time++)
    expect(() => nowhere.give([mount(tree)])).toThrow(/cannot write down which folders/);
  expect(() => nowhere.open(join(tree, 'link'))).toThrow(/leads through/);
});
