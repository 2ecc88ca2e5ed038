/**
 * Who else of the host reaches a container's root file system. Its files belong to the host's ids, however they are shown inside, so what its
 * root leaves there with the setuid bit runs as the host's root for whoever starts it on the host.
 */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { Domain } from '@virtbus/domain-xml';
import { mapsRoot } from './configuration';
import { rootOf } from './host-mounts';

/** Nothing where it is out of reach, or not there yet. @param live with its `<idmap>` */
export function warningOfReach(live: Domain): string | undefined {
  const { source, readonly } = live.devices.filesystems.find(({ target }) => target?.dir === '/') ?? {};
  const path = source?.dir;
  // One that was given to the container's ids beforehand holds nobody else's; one that has all of the host needs no detour.
  if (
    path === undefined ||
    path === '/' ||
    readonly ||
    (rootOf(live.idmap?.uids) !== 0 && !mapsRoot(live)) ||
    !isReached(path)
  )
    return;
  return `other users of this host reach '${path}': what the container's root leaves there for them (setuid) runs as the host's root; keep it in a folder that is root's alone (mode 0700)`;
}

function isReached(path: string): boolean {
  try {
    const steps = realpathSync(path).split(sep);
    const folders = steps.map((_step, index) => join(sep, ...steps.slice(0, index + 1)));
    return (
      folders.every((folder) => (statSync(folder).mode & 0o001) !== 0) && !mountOptions(folders).includes('nosuid')
    );
  } catch {
    return false;
  }
}

/** Of what is mounted there (proc(5), mountinfo). @param folders from the root on */
function mountOptions(folders: readonly string[]): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const options = new Map(mounts.map((line) => [line.split(' ')[4], line.split(' ')[5]] as const));
  const point = folders.findLast((folder) => options.has(folder));
  return (options.get(point) ?? '').split(',');
}
