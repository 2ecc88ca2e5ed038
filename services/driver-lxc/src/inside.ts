/** Files of a container, which it may change at any moment: nothing on the way to them is followed out of it. */
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { follow, linkAt } from './paths';

/**
 * Opens a file below a folder. No part of the path below it may be a link, whatever it was a moment ago; what is no plain file
 * does not keep the caller waiting.
 * @param path below `root`, e.g. `etc/passwd`
 * @param flags of open(2)
 * @throws the system's error: ELOOP or ENOTDIR where a link is on the way
 */
export function openInside(root: string, path: string, flags: number): number {
  const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
  const folders = path.split('/');
  const name = folders.pop()!;
  let at = openSync(root, O_RDONLY | O_DIRECTORY);
  try {
    for (const folder of folders) {
      const next = openSync(`/proc/self/fd/${at}/${folder}`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      closeSync(at);
      at = next;
    }
    return openSync(`/proc/self/fd/${at}/${name}`, flags | O_NOFOLLOW | O_NONBLOCK);
  } finally {
    closeSync(at);
  }
}

/**
 * Where a path of a container leads below its root, as its own processes find it: links are followed in there, and none leads out. It may
 * lead elsewhere a moment later: whoever opens it follows no links.
 */
export const resolveInside = (root: string, path: string): string => follow(path, (at) => linkAt(join(root, at))).at;
