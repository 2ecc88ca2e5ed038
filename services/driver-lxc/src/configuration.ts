/** The configuration of one start: what `toLxcConfig` makes of the live document with what this host has. */
import { statSync } from 'node:fs';
import { toLxcConfig, type BlockSource, type DeviceNode, type Domain } from '@virtbus/domain-xml';
import { innerCgroup } from './cgroups';
import { idsInside } from './ids-inside';
import type { Machine } from './machine';
import type { Place } from './place';

export interface ConfigurationFacts {
  machine: Machine;
  place: Place;
  /** Path of the seccomp policy. */
  seccomp: string;
  /** File systems in images, made ready. */
  blocks: ReadonlyMap<string, BlockSource>;
  /** Process id of the init of another container of this host, by its domain's name. */
  initPid: (domain: string) => number | undefined;
}

export function configurationOf(live: Domain, facts: ConfigurationFacts): string {
  const { machine, place, blocks } = facts;
  const { apparmor, seccomp, cgroups } = machine.capabilities;
  return toLxcConfig(live, {
    cgroups,
    apparmor,
    ...(seccomp ? { seccompProfile: facts.seccomp } : {}),
    consoleLog: place.consoleLog,
    ids: idsInside(live),
    command: 'arguments',
    device: deviceAt,
    isFile,
    idmapRoot: mapsRoot(live),
    block: (source) => blocks.get(source),
    initPid: facts.initPid,
    entries: entriesOf(live, place),
  });
}

function entriesOf(live: Domain, place: Place): [string, string][] {
  const { payload, monitor, pivot } = place.cgroup;
  const entries: [string, string][] = [
    ['lxc.cgroup.dir.container', payload],
    ['lxc.cgroup.dir.container.inner', innerCgroup],
    ['lxc.cgroup.dir.monitor', monitor],
    ['lxc.cgroup.dir.monitor.pivot', pivot],
  ];
  // A second boot fails where a reboot is to be the end.
  if (live.on_reboot === 'destroy') entries.push(['lxc.hook.pre-start', `/bin/mkdir ${place.run}/booted`]);
  return entries;
}

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

/**
 * Whether the mount must show the root file system's files with the container's ids (mount_setattr(2)). Files that were given
 * to those ids beforehand need that not, and bear it not.
 */
export function mapsRoot({ devices, idmap }: Domain): boolean {
  const folder = devices.filesystems.find(({ target }) => target?.dir === '/')?.source?.dir;
  const owner = folder === undefined ? undefined : statSync(folder, { throwIfNoEntry: false })?.uid;
  const isInside = ({ target, count }: { target: number; count: number }): boolean =>
    owner !== undefined && owner >= target && owner < target + count;
  return idmap !== undefined && !idmap.uids.some(isInside);
}
