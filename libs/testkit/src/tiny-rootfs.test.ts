import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout, findProgram } from './programs';
import { requirement, needsRoot } from './requirement';
import { temporaryFolder, type TemporaryFolder } from './temporary-folder';
import { tinyRootfs, tinyRootfsImage } from './tiny-rootfs';

const script = join(checkout, 'tools', 'lxc-rootfs', 'build.sh');
const busybox = requirement('busybox-static', () => findProgram('busybox') !== undefined);
const withRoot = requirement('root and busybox-static', () => busybox.met && needsRoot().met);
const images = requirement('busybox-static and mke2fs', () => busybox.met && findProgram('mke2fs') !== undefined);

describe('the tiny root file system', () => {
  let folder: TemporaryFolder;
  beforeEach(() => void (folder = temporaryFolder()));
  afterEach(() => folder[Symbol.dispose]());

  busybox.test('has an init, a shell and no file of the host', async () => {
    const root = await tinyRootfs(folder.file('c1'));
    expect(root).toBe(folder.file('c1'));
    expect(lstatSync(join(root, 'sbin/init')).mode & 0o777).toBe(0o755);
    expect(readlinkSync(join(root, 'bin/sh'))).toBe('busybox');
    expect(lstatSync(join(root, 'tmp')).mode & 0o7777).toBe(0o1777);
  });

  busybox.test('is the same byte for byte when it is built again', () => {
    const [first, second] = ['a', 'b'].map((name) => {
      const cache = folder.file(name);
      const env = { ...process.env, VIRTBUS_CACHE: cache };
      const out = execFileSync(script, { env, encoding: 'utf8' }).trim();
      return readFileSync(join(out, 'rootfs.tar'));
    });
    expect(first?.equals(second ?? Buffer.alloc(0))).toBe(true);
  });

  withRoot.test('belongs to the ids that an unprivileged container has', async () => {
    const root = await tinyRootfs(folder.file('c1'), { firstId: 100_000 });
    for (const path of ['.', 'sbin/init', 'bin/sh', 'root']) {
      const { uid, gid } = lstatSync(join(root, path));
      expect([path, uid, gid]).toEqual([path, 100_000, 100_000]);
    }
  });

  busybox.test('goes into an empty folder only', async () => {
    writeFileSync(folder.file('mine'), '');
    await expect(tinyRootfs(folder.path)).rejects.toThrow(`${folder.path} is not empty`);
  });

  images.test('can be an ext4 image', async () => {
    const image = await tinyRootfsImage(folder.file('c1.img'));
    const magic = readFileSync(image).subarray(0x438, 0x43a);
    expect(magic.toString('hex')).toBe('53ef');
  });
});
