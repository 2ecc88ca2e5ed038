/** What liblxc's monitor leaves of its cgroups, for tests that start containers by its own tools. */
import { readdirSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@virtbus/testkit';

const hierarchies = (): string[] => ['', ...readdirSync('/sys/fs/cgroup')].map((name) => join('/sys/fs/cgroup', name));

/** Removes cgroups of these names from every hierarchy, as soon as the last process has left them. */
export async function removeCgroups(...names: string[]): Promise<void> {
  await eventually(() => hierarchies().flatMap((at) => names.flatMap((name) => inUse(join(at, name)))), []);
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
