/**
 * What this machine can do for containers, and in one line why it cannot.
 *
 * liblxc's programs come from Debian's package `lxc`. We start containers as root: unprivileged ones get their ids by an
 * idmap, not by our own lack of rights.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { LxcCapabilities } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { HostCgroups } from './cgroups';

/** A range of ids of the host, for user and group ids alike. */
export interface SubIds {
  start: number;
  count: number;
}

export interface Machine {
  cgroups: HostCgroups;
  capabilities: LxcCapabilities;
  version: string;
  /** What containers without an idmap of their own are mapped to; undefined: they run as the host's root. */
  subIds: SubIds | undefined;
  /** Processes and threads that a container may have at a time. */
  pidsMax: number;
}

/** As the settings have it. */
export interface MachineOptions {
  /** `START:COUNT`, `none`, or undefined for what /etc/subuid says. */
  subIds: string | undefined;
  pidsMax: number;
}

/** Throws `OPERATION_UNSUPPORTED` with the reason when this machine cannot run containers. */
export function probeMachine({ subIds, pidsMax }: MachineOptions): Machine {
  const cannot = (why: string): never => {
    throw new VirtError('OPERATION_UNSUPPORTED', { detail: `this machine cannot run containers: ${why}` });
  };
  if (process.getuid?.() !== 0) cannot('the driver needs root');
  const emulator = findProgram('lxc-start') ?? cannot("lxc-start is missing; install it with 'apt-get install lxc'");
  for (const kind of ['pid', 'mnt', 'uts', 'ipc', 'net', 'cgroup']) {
    if (!existsSync(`/proc/self/ns/${kind}`)) cannot(`the kernel has no ${kind} namespaces`);
  }
  const cgroups = HostCgroups.read();
  const why = cgroups.unusable();
  if (why !== undefined) cannot(why);
  const version = versionOf(emulator) ?? cannot(`${emulator} does not say its version`);
  return {
    ...{ cgroups, version, pidsMax },
    subIds: chooseSubIds(subIds),
    capabilities: capabilities(emulator, version, cgroups),
  };
}

function capabilities(emulator: string, version: string, cgroups: HostCgroups): LxcCapabilities {
  const [major = 0, minor = 0, micro = 0] = version.split('.').map(Number);
  const enabled = (path: string): boolean => existsSync(path) && readFileSync(path, 'utf8').startsWith('Y');
  return {
    emulator,
    version: major * 1_000_000 + minor * 1_000 + micro,
    arches: arches(),
    cgroups: cgroups.facts(),
    apparmor: enabled('/sys/module/apparmor/parameters/enabled') && existsSync('/sys/kernel/security/apparmor'),
    selinux: existsSync('/sys/fs/selinux/enforce'),
    seccomp: /^Seccomp:/m.test(readFileSync('/proc/self/status', 'utf8')),
  };
}

/** libvirt's names: this machine's own architecture, and the 32-bit one that its processors run too. */
function arches(): string[] {
  if (process.arch === 'x64') return ['x86_64', 'i686'];
  if (process.arch === 'arm64') return ['aarch64'];
  return [process.arch];
}

function versionOf(emulator: string): string | undefined {
  try {
    return /^(\d+(?:\.\d+)+)/.exec(execFileSync(emulator, ['--version'], { encoding: 'utf8' }).trim())?.[1];
  } catch {
    return undefined;
  }
}

export function findProgram(name: string): string | undefined {
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter).filter(Boolean),
    '/usr/bin',
    '/usr/sbin',
    '/sbin',
    '/bin',
  ];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

function chooseSubIds(asked: string | undefined): SubIds | undefined {
  if (asked === 'none') return undefined;
  if (asked !== undefined) {
    const [start, count] = asked.split(':').map(Number);
    return { start: start!, count: count! };
  }
  const [uids, gids] = [rangeOfRoot('/etc/subuid'), rangeOfRoot('/etc/subgid')];
  return uids && gids && uids.start === gids.start && uids.count === gids.count ? uids : undefined;
}

/** Root's first range (subuid(5)); containers want whole sixteen bits of ids. */
function rangeOfRoot(path: string): SubIds | undefined {
  return subIdsIn(path).find(({ count }) => count >= 65_536);
}

/** All of root's ranges in /etc/subuid or /etc/subgid. */
export function subIdsIn(path: string): SubIds[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, start, count] = /^(?:root|0):(\d+):(\d+)$/.exec(line) ?? [];
      return start === undefined ? [] : [{ start: Number(start), count: Number(count) }];
    });
}
