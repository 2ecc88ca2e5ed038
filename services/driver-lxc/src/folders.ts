/**
 * Folders and files of the host that a container sees. In a user namespace of its own the kernel gives nobody a folder without what is
 * mounted below it (mount_namespaces(7): those mounts are locked together), neither at the start nor at a reboot from inside. So each is
 * mounted on the host beforehand, alone. What another container, or this one, could put something else in the place of is mounted
 * beforehand for any: at a reboot from inside, too, it is what it was at the start.
 */
import type { Domain } from '@virtbus/domain-xml';
import { isFile } from './configuration';
import type { GivenFolders } from './given-folders';
import { mountBelow, type MountFolder } from './host-mounts';

/** Where each folder of a document is mounted, by its path. Throws `SYSTEM_ERROR`; what came about until then stays mounted. */
export async function mountFolders(
  { devices }: Pick<Domain, 'devices'>,
  folder: MountFolder,
  given: GivenFolders,
): Promise<Map<string, string>> {
  const mounted = new Map<string, string>();
  for (const { type, source, target } of devices.filesystems) {
    const path = source?.dir;
    const isRoot = target?.dir === '/';
    if (path === undefined || mounted.has(path) || (type !== 'mount' && !isRoot)) continue;
    using opened = given.open(path);
    // liblxc takes it from where it is.
    if (!opened && (isRoot || !folder.idmap)) continue;
    const what = opened?.path ?? path;
    // Private: what the host mounts there later would be below this one as well.
    const how = isRoot ? ['--rbind', '--make-rprivate'] : ['--bind', '--make-private'];
    const kind = isFile(what) ? 'file' : 'folder';
    const name = `${kind}${mounted.size}`;
    mounted.set(path, await mountBelow(folder, name, ['--no-canonicalize', ...how], what, kind));
  }
  return mounted;
}
