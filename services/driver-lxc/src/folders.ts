/**
 * Folders of the host that a container with ids of its own sees below its root. In a user namespace of its own the kernel gives
 * nobody a folder without what is mounted below it (mount_namespaces(7): those mounts are locked together), neither at the start nor at
 * a reboot from inside. So each is mounted on the host beforehand, alone.
 */
import type { Domain } from '@virtbus/domain-xml';
import { isFile } from './configuration';
import { mountBelow, type MountFolder } from './host-mounts';

/** Where each folder of a document is mounted, by its path. Throws `SYSTEM_ERROR`; what came about until then stays mounted. */
export async function mountFolders(
  { devices }: Pick<Domain, 'devices'>,
  folder: MountFolder,
): Promise<Map<string, string>> {
  const mounted = new Map<string, string>();
  if (!folder.idmap) return mounted;
  for (const { type, source, target } of devices.filesystems) {
    const path = source?.dir;
    if (type !== 'mount' || target?.dir === '/' || path === undefined || mounted.has(path) || isFile(path)) continue;
    // Private: what the host mounts there later would be below this one as well.
    mounted.set(path, await mountBelow(folder, `folder${mounted.size}`, ['--bind', '--make-private'], path));
  }
  return mounted;
}
