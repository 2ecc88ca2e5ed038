/**
 * Where the parts of one container are, all made from the folders that the runtime gives: the same before and after a
 * restart of ours.
 */
import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { GuestFolders } from '@virtbus/driver-runtime';
import { cgroupPaths } from './cgroups';

export interface Place {
  /** The name that liblxc knows the container by: a domain's own name may hold anything. */
  readonly name: string;
  /** `-P` of liblxc's programs. */
  readonly lxcPath: string;
  /** Ours alone, emptied when the container has ended. */
  readonly run: string;
  /** What the host mounts for it: not below `run`, which goes with all that is in it. */
  readonly mounts: string;
  readonly config: string;
  readonly seccomp: string;
  /** liblxc's log, across starts. */
  readonly log: string;
  /** What the first console has shown, across reboots; anew with each start. */
  readonly consoleLog: string;
  readonly cgroup: ReturnType<typeof cgroupPaths>;
}

export function placeOf(folders: GuestFolders): Place {
  const lxcPath = dirname(folders.run);
  const name = basename(folders.run);
  const host = createHash('sha1').update(lxcPath).digest('hex').slice(0, 8);
  return {
    name,
    lxcPath,
    run: folders.run,
    mounts: `${folders.run}.mounts`,
    config: join(folders.run, 'config'),
    seccomp: join(folders.run, 'seccomp'),
    log: folders.log,
    consoleLog: join(folders.state, 'console.log'),
    cgroup: cgroupPaths(host, name),
  };
}
