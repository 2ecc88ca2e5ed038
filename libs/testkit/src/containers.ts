/** Containers that a stack's LXC drivers have started: found by their supervisors, ended with everything that is theirs. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupMountOf, cgroupMounts } from './cgroups';
import { eventually } from './eventually';
import { descendants, end } from './process-table';

/** Whether this process may make cgroups. Throws where it may not. */
export function cgroupsWritable(): boolean {
  const probe = join(cgroupMountOf('memory'), `virtbus-test-${process.pid}`);
  mkdirSync(probe);
  rmdirSync(probe);
  return true;
}

/** Pids of the supervisors (`lxc-start`) whose containers have their files below `folder`. */
export function supervisorsBelow(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const words = readOf(pid, 'cmdline').split('\0');
      return words[0]?.endsWith('lxc-start') === true && words.some((word) => word.startsWith(`${folder}/`));
    });
}

/** Pid of process 1 of a supervisor's container, which has hooks of the host for children, too, while it starts again. */
export function initOf(supervisor: number): number | undefined {
  const children = descendants(supervisor).filter(({ parent }) => parent === supervisor);
  return children.find(({ pid }) => isFirstOfNamespace(pid))?.pid;
}

/** Of the numbers that a process has, its own namespace's is the last (proc(5), NSpid). */
const isFirstOfNamespace = (pid: number): boolean => /^NSpid:\t\d+.*\t1$/m.test(readOf(pid, 'status'));

/** End them all: init first, so that each supervisor cleans up; then what cgroups and mounts are left. */
export async function endContainers(folder: string): Promise<void> {
  const supervisors = supervisorsBelow(folder);
  const cgroups = new Set(supervisors.flatMap(cgroupsOf));
  for (const pid of supervisors) end(initOf(pid) ?? pid);
  for (const path of cgroups) thaw(path);
  await eventually(() => supervisorsBelow(folder).length, 0, { timeoutMs: 5_000 }).catch(() => {
    for (const pid of supervisorsBelow(folder)) end(pid);
  });
  await eventually(() => supervisorsBelow(folder).length, 0);
  // Processes that were killed are still dying.
  const left = (): boolean => {
    for (const path of cgroups) removeCgroups(path);
    return [...cgroups].some((path) => existsSync(path));
  };
  await eventually(left, false);
  for (const point of mountsFor(folder)) execFileSync('umount', ['--lazy', point]);
}

/** What their drivers have mounted for them on the host. */
function mountsFor(folder: string): string[] {
  const points = readOf('self', 'mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  return points.filter((point) => point.startsWith(`${folder}/`) && point.includes('.mounts/')).reverse();
}

/** The folders of a supervisor's container, one a hierarchy: its own path is `…/virtbus-lxc/NAME/monitor`. */
function cgroupsOf(pid: number): string[] {
  const path = /\/virtbus-lxc\/[^/]+/.exec(readOf(pid, 'cgroup'))?.[0];
  if (path === undefined) return [];
  return cgroupMounts().map((mount) => mount + path);
}

/** A frozen process dies only once it is thawed. */
function thaw(folder: string): void {
  for (const [file, value] of [
    ['payload/freezer.state', 'THAWED'],
    ['payload/cgroup.freeze', '0'],
  ] as const) {
    try {
      // Not made where it is not: of the two versions one is there, and none once the container has gone.
      writeFileSync(join(folder, file), value, { flag: 'r+' });
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
}

/** The file was not there, or its cgroup went between opening it and writing. */
function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENODEV';
}

/** A cgroup and those below it, as far as nobody is in them. */
export function removeCgroups(folder: string): void {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) removeCgroups(join(folder, entry.name));
    }
    rmdirSync(folder);
  } catch {
    // It is not there, or somebody is in it.
  }
}

function readOf(pid: number | 'self', file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
