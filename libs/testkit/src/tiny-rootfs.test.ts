import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDomain, prepareLxcDomain } from '@virtbus/domain-xml';
import { checkout, findProgram } from './programs';
import { requirement, needsRoot } from './requirement';
import { temporaryFolder, type TemporaryFolder } from './temporary-folder';
import { tinyRootfs, tinyRootfsImage } from './tiny-rootfs';

jest.setTimeout(60_000);

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
    expect(lstatSync(join(root, 'bin/sh')).ino).toBe(lstatSync(join(root, 'bin/busybox')).ino);
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

  busybox.test('comes with the document of a container on it', () => {
    const example = join(checkout, 'tools', 'lxc-rootfs', 'example.sh');
    const env = { ...process.env, VIRTBUS_STATE_DIR: folder.file('state') };
    const xml = execFileSync(example, ['shop'], { env, encoding: 'utf8' });
    const { domain } = parseDomain(xml, { mode: 'inactive' });
    const { devices } = prepareLxcDomain(domain, { emulator: '/usr/bin/lxc-start', arches: ['x86_64'] });
    expect(devices.filesystems[0]?.source?.dir).toBe(folder.file('state', 'containers', 'shop'));
    expect(lstatSync(folder.file('state', 'containers', 'shop', 'sbin', 'init')).isFile()).toBe(true);
    expect(execFileSync(example, ['shop'], { env, encoding: 'utf8' })).toBe(xml);
  });

  images.test('can be an ext4 image', async () => {
    const image = await tinyRootfsImage(folder.file('c1.img'));
    const magic = readFileSync(image).subarray(0x438, 0x43a);
    expect(magic.toString('hex')).toBe('53ef');
  });
});
