/** What makes two names the same image: on one machine the inode, on a network file system the path there, else the URI. */
import { readFile } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import type { ImageIdentity, Location } from '@virtbus/shared';
import { formatLocation } from '../location/format';
import { isBelow, isShared, type Mount } from './mounts';

/** `major:minor` of a device number, as Linux packs it. */
export function deviceNumber(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn & 0xffffffffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffffffffn);
  return `${major}:${minor}`;
}

/**
 * @param mounts the mounts of the file's device
 * @param realPath asked only on a shared file system
 */
export async function fileIdentity(
  machine: string,
  stats: BigIntStats,
  mounts: readonly Mount[],
  realPath: () => Promise<string>,
): Promise<ImageIdentity> {
  const shared = mounts.filter(isShared);
  if (shared.length > 0) {
    const path = await realPath();
    const mount = shared.find(({ point }) => isBelow(path, point));
    if (mount)
      return { kind: 'shared-file', source: mount.source, path: join(mount.root, path.slice(mount.point.length)) };
  }
  return { kind: 'file', machine, dev: deviceNumber(stats.dev), ino: String(stats.ino) };
}

const join = (...parts: string[]): string => `/${parts.join('/').split('/').filter(Boolean).join('/')}`;

/** A block device by its world-wide name where the kernel knows one, so that a shared LUN is one image from every machine. */
export async function deviceIdentity(machine: string, stats: BigIntStats): Promise<ImageIdentity> {
  const dev = deviceNumber(stats.rdev);
  for (const name of ['dm/uuid', 'wwid', 'device/wwid']) {
    const id = await readFile(`/sys/dev/block/${dev}/${name}`, 'utf8').then(
      (text) => text.trim(),
      () => '',
    );
    if (id !== '') return { kind: 'disk', id };
  }
  return { kind: 'device', machine, dev };
}

/** What is not on this machine, by the string that names it. @throws VirtError for what no image can name */
export function networkIdentity(location: Location): ImageIdentity {
  const { slice: _part, ...place } = location as Location & { slice?: unknown };
  return { kind: 'network', uri: formatLocation(place) };
}

/** An identity as one string: the key of a lease. Different identities have different keys. */
export function identityKey(identity: ImageIdentity): string {
  switch (identity.kind) {
    case 'file':
      return ['file', identity.machine, identity.dev, identity.ino].map(encodeURIComponent).join('/');
    case 'shared-file':
      return ['shared-file', identity.source, identity.path].map(encodeURIComponent).join('/');
    case 'device':
      return ['device', identity.machine, identity.dev].map(encodeURIComponent).join('/');
    case 'disk':
      return ['disk', identity.id].map(encodeURIComponent).join('/');
    case 'network':
      return ['network', identity.uri].map(encodeURIComponent).join('/');
  }
}
