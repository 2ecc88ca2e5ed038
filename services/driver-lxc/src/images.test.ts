/** The kernel's own mounts, of files with real file systems. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Domain } from '@virtbus/domain-xml';
import { silent } from '@virtbus/shared/log';
import { eventually, findProgram, requirement, temporaryFolder } from '@virtbus/testkit';
import { unmountAll } from './host-mounts';
import { mountImages } from './images';

const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());

const isMounted = (point: string): boolean => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${point} `);
const loopsOf = (file: string): string =>
  execFileSync('losetup', ['--noheadings', '--output', 'NAME', '--associated', file], { encoding: 'utf8' }).trim();

function image(name: string): string {
  const file = folder.file(name);
  execFileSync('mkfs.ext4', ['-q', file, '4M']);
  return file;
}

const mounts = requirement('root, loop devices, mkfs.ext4', () => {
  if (process.getuid?.() !== 0 || !findProgram('losetup') || !findProgram('mkfs.ext4')) return false;
  const point = folder.file('probe');
  execFileSync('mkdir', [point]);
  execFileSync('mount', ['-o', 'loop', image('probe.img'), point]);
  execFileSync('umount', [point]);
  return true;
});

interface Mounted {
  file: string;
  dir: string;
  readonly?: true;
}

const documentWith = (...mounted: Mounted[]): Pick<Domain, 'devices'> =>
  ({
    devices: {
      filesystems: mounted.map(({ file, dir, ...more }) => ({
        type: 'file',
        source: { file },
        target: { dir },
        ...more,
      })),
    },
  }) as unknown as Pick<Domain, 'devices'>;

mounts.test('images are mounted each once, and nothing is left of them, whoever takes them away', async () => {
  const [one, two] = [image('one.img'), image('two.img')];
  const place = folder.file('guest.mounts');
  const document = documentWith(
    { file: one, dir: '/a' },
    { file: one, dir: '/b', readonly: true },
    { file: two, dir: '/c', readonly: true },
  );
  const mounted = await mountImages(document, { path: place, idmap: undefined });
  expect([...mounted]).toEqual([
    [one, join(place, 'image0')],
    [two, join(place, 'image1')],
  ]);
  writeFileSync(join(place, 'image0', 'kept'), 'kept');
  expect(() => writeFileSync(join(place, 'image1', 'refused'), '')).toThrow('EROFS');
  await unmountAll(place, silent);
  expect(existsSync(place)).toBe(false);
  // The kernel lets go of a loop device a moment after its last mount.
  await eventually(() => loopsOf(one) + loopsOf(two), '');
  const again = await mountImages(documentWith({ file: one, dir: '/a' }), { path: place, idmap: undefined });
  expect(readFileSync(join(again.get(one)!, 'kept'), 'utf8')).toBe('kept');
  await unmountAll(place, silent);
});

mounts.test('what cannot be mounted is told with its path, and what was mounted before it goes', async () => {
  const place = folder.file('half.mounts');
  const empty = folder.file('empty.img');
  writeFileSync(empty, Buffer.alloc(1024 ** 2));
  const document = documentWith({ file: image('whole.img'), dir: '/a' }, { file: empty, dir: '/b' });
  await expect(mountImages(document, { path: place, idmap: undefined })).rejects.toThrow(
    `'${empty}' holds no file system`,
  );
  expect(isMounted(join(place, 'image0'))).toBe(true);
  await unmountAll(place, silent);
  expect(existsSync(place)).toBe(false);
});
