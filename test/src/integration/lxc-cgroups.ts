/** Cgroups of containers: the limits in them, and what liblxc's monitor leaves of them, for tests that start containers by its own tools. */
import { readFileSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupMounts, cgroupOf, eventually } from '@virtbus/testkit';

/** A file of the cgroup that a container's limits are on, whichever version of cgroups its controller has. */
export function limitOf(init: number, controller: string, v1: string, v2: string): string {
  const { folder, version } = cgroupOf(init, controller);
  return readFileSync(join(folder.replace(/\/inner$/, ''), version === 1 ? v1 : v2), 'utf8').trim();
}

/** The devices that a container may use, as version 1 of cgroups lists them; empty where version 2 has them in a program. */
export function deviceRights(init: number): string {
  const { folder, version } = cgroupOf(init, 'devices');
  return version === 1 ? readFileSync(join(folder, 'devices.list'), 'utf8') : '';
}

/** Removes cgroups of these names from every hierarchy, as soon as the last process has left them. */
export async function removeCgroups(...names: string[]): Promise<void> {
  await eventually(() => cgroupMounts().flatMap((at) => names.flatMap((name) => inUse(join(at, name)))), []);
}

/** Removes a cgroup with all below it; tells what is still in use. */
function inUse(cgroup: string): string[] {
  if (!statSync(cgroup, { throwIfNoEntry: false })?.isDirectory()) return [];
  const children = readdirSync(cgroup, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const busy = children.flatMap(({ name }) => inUse(join(cgroup, name)));
  if (busy.length > 0) return busy;
  try {
    rmdirSync(cgroup);
    return [];
  } catch {
    return [cgroup];
  }
}
