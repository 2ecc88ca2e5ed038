/**
 * Where this host's cgroup controllers are, and the cgroup of one container in each of them.
 *
 * Controllers may sit on hierarchies of their own (v1), on the unified one (v2), or some here and some there (hybrid). A
 * container lives at the same path in all of them: `virtbus-lxc/<host>-<container>/payload` below the cgroup of process 1,
 * which is where liblxc counts from. Its processes are one level further down, in `inner`: a container that may write to
 * its own cgroup still cannot lift the limits, which are on `payload`.
 *
 * Sources: cgroups(7), cgroup-v2 and cgroup-v1 documents of the kernel, proc(5) on mountinfo.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  write,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { CgroupController, LxcCgroups } from '@virtbus/domain-xml';

const controllers: readonly CgroupController[] = [
  ...['memory', 'cpu', 'cpuset', 'blkio'],
  ...['devices', 'pids', 'freezer', 'cpuacct'],
] as CgroupController[];

/** What a v1 controller is called on the unified hierarchy; freezer, devices and accounting need no controller there. */
const unifiedName: Partial<Record<CgroupController, string>> = {
  memory: 'memory',
  cpu: 'cpu',
  cpuset: 'cpuset',
  blkio: 'io',
  pids: 'pids',
};

interface Hierarchy {
  /** As /proc/PID/cgroup tells of it; empty for the unified one. */
  name: string;
  version: 1 | 2;
  mount: string;
  /** Below the mount: the cgroup of process 1. */
  base: string;
  controllers: readonly string[];
}

export class HostCgroups {
  private expecting: Promise<void> | undefined;

  /** @param favorsMoves as the host's administrator has chosen: no move waits, so none need be expected */
  private constructor(
    private readonly hierarchies: readonly Hierarchy[],
    private readonly favorsMoves: boolean,
  ) {}

  static read(
    mountinfo = readFileSync('/proc/self/mountinfo', 'utf8'),
    ofInit = readFileSync('/proc/1/cgroup', 'utf8'),
  ) {
    const bases = new Map(
      [...pathsIn(ofInit)].map(([names, path]) => [names, path.replace(/\/init\.scope$/, '') || '/'] as const),
    );
    const hierarchies = mountinfo.split('\n').flatMap((line): Hierarchy[] => {
      const [before, after] = line.split(' - ');
      const mount = before?.split(' ')[4];
      const [type, , options] = after?.split(' ') ?? [];
      if (mount === undefined || (type !== 'cgroup' && type !== 'cgroup2')) return [];
      if (type === 'cgroup2') {
        const base = bases.get('') ?? '/';
        const listed = readOrEmpty(join(mount, base, 'cgroup.controllers')).trim();
        return [{ name: '', version: 2, mount, base, controllers: listed === '' ? [] : listed.split(' ') }];
      }
      const names = [...bases.keys()].find((one) => options?.split(',').includes(one.split(',')[0]!));
      if (names === undefined || names === '') return [];
      return [{ name: names, version: 1, mount, base: bases.get(names)!, controllers: names.split(',') }];
    });
    return new HostCgroups(hierarchies, / - cgroup2? .*\bfavordynmods\b/.test(mountinfo));
  }

  /** Why no container can have its own cgroups here; undefined when it can. */
  unusable(): string | undefined {
    if (this.hierarchies.length === 0) return 'no cgroup hierarchy is mounted; mount one at /sys/fs/cgroup';
    for (const controller of ['memory', 'freezer'] as const) {
      if (this.of(controller) === undefined) return `the cgroup controller '${controller}' is not there`;
    }
    for (const { mount, base } of this.hierarchies) {
      const probe = join(mount, base, root, `probe-${process.pid}`);
      try {
        // One after the other: a recursive mkdir of Node never ends on a file system that makes nothing.
        makeIfAbsent(dirname(probe));
        mkdirSync(probe);
        rmdirSync(probe);
      } catch (error) {
        return `cannot make a cgroup below ${join(mount, base)}: ${(error as Error).message}`;
      }
    }
    return undefined;
  }

  /** What `toLxcConfig` needs to know. */
  facts(): LxcCgroups {
    const versions: Partial<Record<CgroupController, 1 | 2>> = {};
    for (const controller of controllers) {
      const found = this.of(controller);
      if (found) versions[controller] = found.version;
    }
    const blkio = this.of('blkio');
    const weight = ['blkio.bfq.weight', 'blkio.weight', 'io.weight', 'io.bfq.weight'].find(
      (name) => blkio && this.probed(blkio, name),
    );
    const memory = this.of('memory');
    const swap =
      memory !== undefined &&
      this.probed(memory, memory.version === 1 ? 'memory.memsw.limit_in_bytes' : 'memory.swap.max');
    return { versions, swap, ...(weight === undefined ? {} : { blkioWeight: weight }) };
  }

  /** The cgroup of a container; `path` as `lxc.cgroup.dir.container` has it. */
  container(path: string): ContainerCgroup {
    const at = (controller: CgroupController): { version: 1 | 2; folder: string } | undefined => {
      const found = this.of(controller);
      return found && { version: found.version, folder: join(found.mount, found.base, path) };
    };
    return new ContainerCgroup(at);
  }

  /** Where a path is, in every hierarchy. */
  folders(path: string): string[] {
    return this.hierarchies.map(({ mount, base }) => join(mount, base, path));
  }

  /** Processes at and below a path, in every hierarchy. */
  processes(path: string): number[] {
    return [...new Set(this.folders(path).flatMap(processesBelow))];
  }

  /** Remove what is left at and below a path, in every hierarchy; false when something stays, because it has processes. */
  remove(path: string): boolean {
    const folders = this.folders(path);
    for (const folder of folders) removeTree(folder);
    return !folders.some((folder) => existsSync(folder));
  }

  /**
   * Have the kernel get ready for processes that will be moved into other cgroups in a moment, and move none.
   *
   * A move locks out forks everywhere, which begins with a grace period of RCU, some 10 ms; another move within the next
   * milliseconds finds it passed (Linux, kernel/cgroup/cgroup.c: cgroup_threadgroup_rwsem). liblxc moves its supervisor
   * before anything else, so that wait is begun while there is other work to do: this process is moved to where it is.
   * Another thread does it, from now on, whatever this one is busy with. Resolves when it has passed; who expects moves
   * meanwhile has them in the same wait. Never rejects: without it a start takes longer, that is all.
   */
  expectMoves(): Promise<void> {
    if (this.favorsMoves) return Promise.resolve();
    return (this.expecting ??= this.moveNobody().finally(() => (this.expecting = undefined)));
  }

  private async moveNobody(): Promise<void> {
    const hierarchy = this.hierarchies.find(({ version }) => version === 2) ?? this.hierarchies[0];
    if (!hierarchy) return;
    const { name, mount } = hierarchy;
    let fd: number | undefined;
    try {
      const own = pathsIn(readFileSync('/proc/self/cgroup', 'utf8')).get(name) ?? '/';
      fd = openSync(join(mount, own, 'cgroup.procs'), 'r+');
      await writeTo(fd, '0');
    } catch {
      // A cgroup namespace may hide where we are.
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  private of(controller: CgroupController): Hierarchy | undefined {
    const old = this.hierarchies.find((one) => one.version === 1 && one.controllers.includes(controller));
    if (old) return old;
    const unified = this.hierarchies.find((one) => one.version === 2);
    if (!unified) return undefined;
    const name = unifiedName[controller];
    if (name !== undefined && !unified.controllers.includes(name)) return undefined;
    return unified;
  }

  /** Files of a controller are not in the root cgroup: look into one of ours. */
  private probed({ mount, base }: Hierarchy, file: string): boolean {
    return existsSync(join(mount, base, root, file));
  }
}

/** The folder that all containers of ours are in. */
const root = 'virtbus-lxc';

/** `lxc.cgroup.dir.*` of a container. @param host tells hosts apart that share a machine */
export function cgroupPaths(
  host: string,
  name: string,
): { all: string; payload: string; monitor: string; pivot: string } {
  const all = join(root, `${host}-${name}`);
  return { all, payload: join(all, 'payload'), monitor: join(all, 'monitor'), pivot: join(all, 'pivot') };
}

export class ContainerCgroup {
  constructor(private readonly at: (controller: CgroupController) => { version: 1 | 2; folder: string } | undefined) {}

  version(controller: CgroupController): 1 | 2 | undefined {
    return this.at(controller)?.version;
  }

  /** Where a file of a controller is; undefined without the controller. */
  path(controller: CgroupController, v1: string, v2: string): string | undefined {
    const found = this.at(controller);
    return found && join(found.folder, found.version === 1 ? v1 : v2);
  }

  /** The container is up: between two boots it has no cgroups. */
  isThere(controller: CgroupController): boolean {
    const found = this.at(controller);
    return found !== undefined && existsSync(found.folder);
  }

  /** The text of a file; undefined when it cannot be read. */
  read(controller: CgroupController, v1: string, v2: string): string | undefined {
    const path = this.path(controller, v1, v2);
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return undefined;
    }
  }

  /** Throws as the kernel refuses. */
  write(controller: CgroupController, file: string, value: string): void {
    const found = this.at(controller);
    if (!found) throw new Error(`the cgroup controller '${controller}' is not there`);
    writeFileSync(join(found.folder, file), value);
  }
}

/** The container's own processes are one level below its limits. */
export const innerCgroup = 'inner';

function processesBelow(folder: string): number[] {
  const own = readOrEmpty(join(folder, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);
  return [...own, ...foldersIn(folder).flatMap(processesBelow)];
}

/** None of one that is gone. */
function foldersIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [join(folder, entry.name)] : []));
  } catch {
    return [];
  }
}

function removeTree(folder: string): void {
  for (const below of foldersIn(folder)) removeTree(below);
  try {
    rmdirSync(folder);
  } catch {
    // It has processes: whoever ends them removes it.
  }
}

/** /proc/PID/cgroup: the path in each hierarchy, by the names of its controllers. */
function pathsIn(text: string): Map<string, string> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      return names === undefined ? [] : [[names, path!] as const];
    }),
  );
}

/** `write` of `node:fs/promises` would open the file in a turn of the event loop of its own. */
function writeTo(fd: number, text: string): Promise<void> {
  return new Promise((resolve, reject) => write(fd, text, (error) => (error ? reject(error) : resolve())));
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Another driver may be at it in this moment. */
function makeIfAbsent(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
