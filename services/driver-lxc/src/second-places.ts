/**
 * What a container sees of its own at a second place (`<filesystem type='bind'>`). liblxc binds it while the root is still its host's, and
 * would follow links of the container's on the host; but on the way of a path that does not begin with a slash it follows none. So its own
 * links are followed for it at the start, and what has become a link by a reboot keeps it from booting.
 */
import { mkdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Domain, LxcFacts } from '@virtbus/domain-xml';
import { isFile } from './configuration';
import { makeMountFolder } from './host-mounts';
import { resolveInside } from './inside';
import type { Place } from './place';
import type { PlacedRoot } from './root';

/** For one start. */
export interface SecondPlaces {
  inside?: LxcFacts['inside'];
  /** For liblxc's configuration. */
  entries: [string, string][];
}

export function makeSecondPlaces(live: Domain, place: Place, { path }: PlacedRoot): SecondPlaces {
  const { filesystems } = live.devices;
  const root = path ?? filesystems.find(({ target }) => target?.dir === '/')?.source?.dir;
  if (root === undefined || !filesystems.some(({ type, target }) => type === 'bind' && target?.dir !== '/'))
    return { entries: [] };
  makeMountFolder({ path: place.mounts, idmap: live.idmap });
  // Where liblxc puts the root together: no link leads there.
  const whole = join(realpathSync(dirname(place.mounts)), basename(place.mounts), 'whole');
  mkdirSync(whole, { recursive: true });
  return {
    inside: (one) => {
      const found = resolveInside(root, one);
      // Its first step liblxc passes over, as if a slash were before it (5.0.2).
      return { source: `.${join(whole, found)}`, isFile: isFile(join(root, found)) };
    },
    entries: [['lxc.rootfs.mount', whole]],
  };
}
