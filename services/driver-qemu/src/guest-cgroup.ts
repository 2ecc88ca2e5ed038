/**
 * The cgroup that guests run in when they must not share ours.
 *
 * A container engine that stops a container kills what is in the container's cgroup. A guest that has been moved to a
 * cgroup beside it, in every hierarchy, is none of the engine's business. The folder stays when the last guest has left.
 *
 * Sources: cgroup-v1 and cgroup-v2 documents of the kernel, cpuset(7), proc(5) on mountinfo.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VirtError } from '@virtbus/shared';

export class GuestCgroup {
  private constructor(private readonly folders: readonly string[]) {}

  /** Makes it where it is missing. Throws `SYSTEM_ERROR`. @param path below the root of each hierarchy: `virtbus-guests` */
  static open(path: string, mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): GuestCgroup {
    const mounts = mountsIn(mountinfo);
    if (mounts.length === 0) throw cannot(path, 'no cgroup hierarchy is mounted');
    try {
      return new GuestCgroup(mounts.map((mount) => makeBelow(mount, path)));
    } catch (cause) {
      throw cannot(path, (cause as Error).message, cause);
    }
  }

  /** Move a process there, with all its threads. Throws `SYSTEM_ERROR`. */
  admit(pid: number): void {
    for (const folder of this.folders) {
      try {
        writeFileSync(join(folder, 'cgroup.procs'), String(pid));
      } catch (cause) {
        throw cannot(folder, (cause as Error).message, cause);
      }
    }
  }
}

/** Where hierarchies are mounted with their root: a part of one is a container's own view. */
function mountsIn(mountinfo: string): string[] {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    const [, , , root, mount] = before?.split(' ') ?? [];
    const type = after?.split(' ')[0];
    return root === '/' && mount !== undefined && (type === 'cgroup' || type === 'cgroup2') ? [mount] : [];
  });
  return [...new Set(mounts)];
}

function makeBelow(mount: string, path: string): string {
  let folder = mount;
  for (const name of path.split('/').filter(Boolean)) {
    const above = folder;
    folder = join(above, name);
    if (!existsSync(folder)) mkdirSync(folder);
    inherit(above, folder);
  }
  return folder;
}

/** A cpuset of version 1 begins without processors and memory, and takes no process. */
function inherit(above: string, folder: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const own = join(folder, file);
    if (existsSync(join(above, file)) && readFileSync(own, 'utf8').trim() === '')
      writeFileSync(own, readFileSync(join(above, file)));
  }
}

function cannot(where: string, why: string, cause?: unknown): VirtError {
  const detail = `cannot move guests to the cgroup ${where} (VIRTBUS_QEMU_CGROUP): ${why}`;
  return new VirtError('SYSTEM_ERROR', { detail }, { cause });
}
