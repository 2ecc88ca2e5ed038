/**
 * What is mounted on the host for one container, from its start to its end, and bound into it: the kernel lets nobody mount an
 * image, or use a device node, in a user namespace of its own (user_namespaces(7)).
 *
 * All of it lies below one folder, and none of it is written down: whoever comes after a crash of ours finds it in the kernel's
 * table.
 */
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Domain } from '@virtbus/domain-xml';
import type { Log } from '@virtbus/shared/log';
import { mountPoints } from './mounts';
import { output } from './programs';

/** For one container; made with its first mount. */
export interface MountFolder {
  path: string;
  /** The container's own root mounts from there, and no other user of the host sees it. */
  idmap: Domain['idmap'];
}

/** The host's id of the container's root. */
export const rootOf = (ranges: readonly { start: number; target: number }[] | undefined): number =>
  ranges?.find(({ start }) => start === 0)?.target ?? 0;

export function makeMountFolder({ path, idmap }: MountFolder): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chownSync(path, rootOf(idmap?.uids), rootOf(idmap?.gids));
}

/**
 * Mount below the folder. Throws `SYSTEM_ERROR` with mount's words.
 * @param words of mount(8), up to what is mounted
 * @param kind of what is mounted
 * @returns the mount point
 */
export async function mountBelow(
  { path, idmap }: MountFolder,
  name: string,
  words: readonly string[],
  what: string,
  kind: 'folder' | 'file' = 'folder',
): Promise<string> {
  makeMountFolder({ path, idmap });
  const point = join(path, name);
  if (kind === 'folder') mkdirSync(point, { recursive: true, mode: 0o700 });
  else writeFileSync(point, '', { flag: 'a', mode: 0o600 });
  // No helper of another package's: what the kernel does not know itself is told as that.
  await output('mount', ['-i', ...words, '--', what, point]);
  return point;
}

/** Nothing is mounted below the folder then, nor is it there. What is still in use goes when it no longer is. */
export async function unmountAll(folder: string, log: Log): Promise<void> {
  // It is made with the first mount: most containers have none.
  if (!existsSync(folder)) return;
  for (const point of mountsBelow(folder).reverse()) {
    await output('umount', ['--', point])
      .catch(() => output('umount', ['--lazy', '--', point]))
      .catch((err: unknown) => log.warn({ err, point }, 'what was mounted for a container cannot be unmounted'));
  }
  removeFolders(folder);
}

/** The points below it, in the order they were mounted. */
export function mountsBelow(folder: string): string[] {
  // As the kernel has it: a folder on the way to it may be a link.
  const above = join(realpathSync(dirname(folder)), basename(folder));
  return mountPoints('self').filter((point) => point.startsWith(`${above}/`));
}

/** Empty ones alone: what could not be unmounted is somebody's data, and the kernel keeps a file that something is mounted on. */
function removeFolders(folder: string): void {
  try {
    for (const one of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, one.name);
      if (one.isDirectory()) rmdirSync(path);
      else unlinkSync(path);
    }
    rmdirSync(folder);
  } catch {
    // It was not made, or is not empty.
  }
}
