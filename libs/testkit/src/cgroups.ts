/** Where the cgroups of this machine are: hierarchies of version 1, the unified one of version 2, or some of each. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Hierarchy {
  mount: string;
  version: 1 | 2;
  options: readonly string[];
}

/** As proc(5) has them in mountinfo. */
function hierarchies(): Hierarchy[] {
  const mounted = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return mounted.flatMap((line): Hierarchy[] => {
    const [before, after] = line.split(' - ');
    const mount = before?.split(' ')[4];
    const [type, , options] = after?.split(' ') ?? [];
    if (mount === undefined || (type !== 'cgroup' && type !== 'cgroup2')) return [];
    return [{ mount, version: type === 'cgroup' ? 1 : 2, options: options?.split(',') ?? [] }];
  });
}

/** The folder that each hierarchy is mounted at. */
export function cgroupMounts(): string[] {
  return hierarchies().map(({ mount }) => mount);
}

/** The hierarchy that a controller is on. Throws where there is none. */
function hierarchyOf(controller: string): Hierarchy {
  const all = hierarchies();
  const found = all.find(({ options }) => options.includes(controller)) ?? all.find(({ version }) => version === 2);
  if (!found) throw new Error(`no cgroup hierarchy has the controller '${controller}'`);
  return found;
}

/** The folder that a controller's hierarchy is mounted at. */
export function cgroupMountOf(controller: string): string {
  return hierarchyOf(controller).mount;
}

/** The cgroup that a process is in, in the hierarchy of a controller. */
export function cgroupOf(pid: number | string, controller: string): { folder: string; version: 1 | 2 } {
  const { mount, version } = hierarchyOf(controller);
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
  const line = lines.find((one) => {
    const names = one.split(':')[1];
    return version === 2 ? names === '' : names?.split(',').includes(controller);
  });
  const path = /^\d+:[^:]*:(.*)$/.exec(line ?? '')?.[1];
  if (path === undefined) throw new Error(`process ${pid} has no cgroup of the controller '${controller}'`);
  return { folder: join(mount, path), version };
}
