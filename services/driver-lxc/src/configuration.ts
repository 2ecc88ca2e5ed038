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
    block: (source) => blocks.get(source),
    initPid: facts.initPid,
    entries: entriesOf(live, place),
  });
}

function entriesOf(live: Domain, place: Place): [string, string][] {
  const { payload, monitor, pivot } = place.cgroup;
  const root = live.devices.filesystems.find(({ target }) => target?.dir === '/');
  const entries: [string, string][] = [
    ['lxc.cgroup.dir.container', payload],
    ['lxc.cgroup.dir.container.inner', innerCgroup],
    ['lxc.cgroup.dir.monitor', monitor],
    ['lxc.cgroup.dir.monitor.pivot', pivot],
  ];
  // The files stay as they are owned; the mount shows them with the container's ids (mount_setattr(2)).
  if (live.idmap && !ownedInside(live.idmap.uids, root?.source?.dir)) {
    entries.push(['lxc.rootfs.options', root?.readonly ? 'ro,idmap=container' : 'idmap=container']);
  }
  // A second boot fails where a reboot is to be the end.
  if (live.on_reboot === 'destroy') entries.push(['lxc.hook.pre-start', `/bin/mkdir ${place.run}/booted`]);
  return entries;
}

/** A root file system whose files were given to the container's ids beforehand needs no mapped mount, and bears none. */
function ownedInside(ranges: readonly { target: number; count: number }[], folder: string | undefined): boolean {
  const owner = folder === undefined ? undefined : statSync(folder, { throwIfNoEntry: false })?.uid;
  return ranges.some(({ target, count }) => owner !== undefined && owner >= target && owner < target + count);
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

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
}
