/** The configuration of one start: what `toLxcConfig` makes of the live document with what this host has. */
import { statfsSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { toLxcConfig, type DeviceNode, type Domain } from '@virtbus/domain-xml';
import { betweenBootsEntry } from './between-boots';
import { innerCgroup } from './cgroups';
import { idsInside } from './ids-inside';
import type { Machine } from './machine';
import type { NamespaceKind } from './namespaces';
import type { Place } from './place';
import type { PlacedRoot } from './root';
import type { SecondPlaces } from './second-places';

export interface ConfigurationFacts {
  machine: Machine;
  place: Place;
  /** Path of the seccomp policy. */
  seccomp: string;
  /** Path of the script that makes way for the next boot. */
  betweenBoots: string;
  /** Where file systems in images and on devices, and folders, are mounted, by their source. */
  mounted: ReadonlyMap<string, string>;
  root: PlacedRoot;
  second: SecondPlaces;
  /** Which node stands for each device of the host. */
  nodes: ReadonlyMap<string, string>;
  /** Process id of the init of another container of this host, by its domain's name. */
  initPid: (domain: string) => number | undefined;
  /** Where namespaces that it shares are held. */
  namespaces: ReadonlyMap<NamespaceKind, string>;
}

export function configurationOf(live: Domain, facts: ConfigurationFacts): string {
  const { machine, place, mounted, nodes, root, second, namespaces } = facts;
  const { apparmor, seccomp, cgroups } = machine.capabilities;
  return toLxcConfig(live, {
    cgroups,
    apparmor,
    ...(seccomp ? { seccompProfile: facts.seccomp } : {}),
    ...(cgroups.versions.pids !== undefined && { pidsMax: machine.pidsMax }),
    consoleLog: place.consoleLog,
    ids: idsInside(live),
    command: 'arguments',
    device: deviceAt,
    node: (path) => nodes.get(path) ?? path,
    isFile,
    idmapRoot: mapsRoot(live),
    ...(root.path !== undefined && { root: root.path }),
    idmapMount: (path) => mapsMount(live, path),
    mounted: (source) => mounted.get(source),
    folder: (path) => mounted.get(path),
    ...(second.inside && { inside: second.inside }),
    initPid: facts.initPid,
    namespace: (kind) => namespaces.get(kind),
    entries: [...entriesOf(live, facts), ...root.entries, ...second.entries],
  });
}

function entriesOf(live: Domain, { place, machine, betweenBoots }: ConfigurationFacts): [string, string][] {
  const { payload, monitor, pivot } = place.cgroup;
  return [
    ['lxc.cgroup.dir.container', payload],
    ['lxc.cgroup.dir.container.inner', innerCgroup],
    ['lxc.cgroup.dir.monitor', monitor],
    ['lxc.cgroup.dir.monitor.pivot', pivot],
    ['lxc.hook.version', '1'],
    live.on_reboot === 'destroy'
      ? ['lxc.hook.pre-start', firstBootOnly]
      : betweenBootsEntry(place, machine.cgroups, betweenBoots),
  ];
}

/** Where a reboot is to be the end the boot after it fails: liblxc tells its hooks what it ended for (lxc.container.conf(5)). */
const firstBootOnly = '/usr/bin/test "x$LXC_TARGET" != xreboot';

export function deviceAt(path: string): DeviceNode | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat || !(stat.isBlockDevice() || stat.isCharacterDevice())) return undefined;
  const { rdev } = stat;
  // makedev(3): twelve bits of major at 8, eight bits of minor at 0 and the rest from bit 20 on.
  return {
    kind: stat.isBlockDevice() ? 'block' : 'char',
    major: (rdev >> 8) & 0xfff,
    minor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00),
  };
}

export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
}

/** File systems whose mounts can show other ids than are on them, by their statfs(2) type: the first Linux that can (mount_setattr(2)). */
const mapping = new Map<number, readonly [major: number, minor: number]>([
  [0xef53 /* ext4 */, [5, 12]],
  [0x58465342 /* xfs */, [5, 12]],
  [0x4d44 /* vfat */, [5, 12]],
  [0x9123683e /* btrfs */, [5, 15]],
  [0xf2f52010 /* f2fs */, [5, 18]],
  [0xe0f5e1e2 /* erofs */, [5, 19]],
  [0x01021994 /* tmpfs */, [6, 3]],
]);

/** @param kernel as uname(2) tells its release: `6.1.0-50-amd64` */
export function canMap(type: number, kernel = release()): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((word) => parseInt(word, 10));
  const since = mapping.get(type);
  return since !== undefined && (major === since[0] ? minor >= since[1] : major > since[0]);
}

/** Whether a mount below the root must, and can, show files with the container's ids. The root's must in any case. */
export function mapsMount(live: Domain, path: string): boolean {
  return mapsFiles(live, path) && canMap(statfsSync(path).type);
}

export function mapsRoot(live: Domain): boolean {
  const folder = live.devices.filesystems.find(({ target }) => target?.dir === '/')?.source?.dir;
  return mapsFiles(live, folder);
}

/**
 * Whether a mount must show files with the container's ids (mount_setattr(2)). Those that were given to these ids beforehand
 * need that not, and bear it not.
 */
function mapsFiles({ idmap }: Domain, path: string | undefined): boolean {
  const owner = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false })?.uid;
  const isInside = ({ target, count }: { target: number; count: number }): boolean =>
    owner !== undefined && owner >= target && owner < target + count;
  return idmap !== undefined && !idmap.uids.some(isInside);
}
