import type { BigIntStats } from 'node:fs';
import { deviceNumber, fileIdentity, identityKey } from './identity';
import { isKernels, mayHang, mountOf, parseMounts } from './mounts';

/** Lines of a real /proc/self/mountinfo: optional fields, a space in a name, a folder of an export. */
const mounts = parseMounts(`21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw shared:5 - proc proc rw
35 21 0:52 /vm\\040images /srv/nfs rw shared:9 master:2 - nfs4 store:/export rw,vers=4.2
36 21 0:53 / /srv/gl rw - fuse.glusterfs h:/vol rw
`);

test('a path lies in the mount with the longest mount point', () => {
  expect(mountOf(mounts, '/srv/nfs/a')).toMatchObject({ type: 'nfs4', source: 'store:/export', root: '/vm images' });
  expect(mountOf(mounts, '/srv/nfsx/a')?.type).toBe('ext4');
  expect(mountOf(mounts, '/proc')).toMatchObject({ type: 'proc' });
});

test('network file systems may hang, and those of the kernel hold no images', () => {
  const at = (path: string) => mountOf(mounts, path)!;
  expect([at('/srv/nfs/a'), at('/srv/gl/a'), at('/a')].map(mayHang)).toEqual([true, true, false]);
  expect([at('/proc/1'), at('/a')].map(isKernels)).toEqual([true, false]);
});

describe('identity', () => {
  const stats = (dev: bigint) => ({ dev, ino: 77n }) as BigIntStats;
  const identity = (machine: string, dev: bigint, path: string) =>
    fileIdentity(machine, stats(dev), mounts.get(deviceNumber(dev)) ?? [], () => Promise.resolve(path));

  test('of a file on a disk belongs to one machine', async () => {
    expect(await identity('a', 0x801n, '/x')).toEqual({ kind: 'file', machine: 'a', dev: '8:1', ino: '77' });
    expect(identityKey(await identity('a', 0x801n, '/x'))).not.toBe(identityKey(await identity('b', 0x801n, '/x')));
  });

  test('of a file on a network file system is the same from every machine', async () => {
    const seen = await identity('a', 52n, '/srv/nfs/dir/disk');
    expect(seen).toEqual({ kind: 'shared-file', source: 'store:/export', path: '/vm images/dir/disk' });
    expect(identityKey(await identity('b', 52n, '/srv/nfs/dir/disk'))).toBe(identityKey(seen));
  });

  test('as a key keeps apart what is apart', () => {
    const one = identityKey({ kind: 'shared-file', source: 'a/b', path: 'c' });
    expect(identityKey({ kind: 'shared-file', source: 'a', path: 'b/c' })).not.toBe(one);
  });
});
