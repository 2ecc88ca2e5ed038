/** What would make liblxc fail with words that say little: looked at beforehand, so that the error names what to do. */
import { existsSync, statSync } from 'node:fs';
import { lineOf, type Domain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { GivenFolders } from './given-folders';
import { findProgram, subIdsIn } from './machine';

/** Throws for a source that is not there, a bridge that is none, a device name that is taken, ids that are not ours. */
export function checkStart(live: Domain): void {
  checkSources(live);
  checkCards(live);
  checkIdmap(live);
}

function checkSources({ name, devices }: Domain): void {
  for (const { type, source, target, space_hard_limit: most } of devices.filesystems) {
    const path = type === 'file' ? source?.file : type === 'block' ? source?.dev : source?.dir;
    if (path === undefined || type === 'ram' || (type === 'bind' && target?.dir !== '/')) continue;
    const stat = statSync(path, { throwIfNoEntry: false });
    const what = target?.dir === '/' ? 'the root file system' : `the file system for '${target?.dir}'`;
    const wrong = (why: string): never => {
      throw new VirtError('SYSTEM_ERROR', { detail: `cannot start '${name}': ${what} '${path}' ${why}` });
    };
    if (!stat) wrong('does not exist');
    else if (target?.dir === '/' && (type === 'mount' || type === 'bind') && !stat.isDirectory()) wrong('is no folder');
    else if (type === 'file' && !stat.isFile()) wrong('is no image file');
    else if (most !== undefined && type === 'file' && stat.size > most)
      wrong(`is an image of ${stat.size} bytes, more than its <space_hard_limit> of ${most}`);
    else if (type === 'block' && !stat.isBlockDevice()) wrong('is no block device');
  }
}

/** Throws for what the host itself opens or writes, where a container can put something else in its place. */
export function checkPlaces({ devices }: Pick<Domain, 'devices'>, given: GivenFolders): void {
  const check = (path: string | undefined, what: string): void => {
    if (path !== undefined) given.mustNotHold(path, what);
  };
  for (const { type, source } of devices.filesystems) {
    if (type === 'file') check(source?.file, 'an image');
    if (type === 'block') check(source?.dev, 'a device');
  }
  for (const { source } of devices.disks) check(source?.dev, 'a device');
  for (const { source } of devices.hostdevs) check(source?.block ?? source?.char, 'a device');
  check(devices.consoles[0]?.log?.file, 'the log of a console');
}

export function checkCards({ devices }: Pick<Domain, 'devices'>): void {
  const exists = (name: string): boolean => existsSync(`/sys/class/net/${name}`);
  for (const card of devices.interfaces) {
    const { source, target } = card;
    const bridge = card.type === 'bridge' ? source?.bridge : undefined;
    if (bridge !== undefined && !exists(`${bridge}/bridge`)) {
      const detail = `Cannot get interface MTU on '${bridge}': there is no such bridge on this host`;
      throw new VirtError('SYSTEM_ERROR', { detail });
    }
    if (card.type === 'direct' && source?.dev !== undefined && !exists(source.dev)) {
      throw new VirtError('SYSTEM_ERROR', { detail: `there is no interface '${source.dev}' on this host` });
    }
    if (card.type !== 'direct' && target?.dev !== undefined && exists(target.dev)) {
      const line = lineOf(card);
      const detail = `the name '${target.dev}' of an interface is taken on this host${line ? ` (line ${line})` : ''}; give another <target dev>, or none`;
      throw new VirtError('RESOURCE_BUSY', { detail });
    }
  }
  for (const { type, source } of devices.hostdevs) {
    const name = type === 'net' ? source?.interface : undefined;
    if (name !== undefined && !exists(name)) {
      throw new VirtError('SYSTEM_ERROR', { detail: `there is no interface '${name}' on this host` });
    }
  }
}

/** With newuidmap (package uidmap) installed, liblxc maps only what /etc/subuid and /etc/subgid give root. */
function checkIdmap({ idmap }: Domain): void {
  if (!idmap || findProgram('newuidmap') === undefined) return;
  for (const [file, ranges] of [
    ['/etc/subuid', idmap.uids],
    ['/etc/subgid', idmap.gids],
  ] as const) {
    const given = subIdsIn(file);
    for (const { target, count } of ranges) {
      if (given.some((one) => target >= one.start && target + count <= one.start + one.count)) continue;
      const [from, to] = [target, target + count - 1];
      const detail = `<idmap> needs the ids ${from} to ${to}, and ${file} does not give them to root; run: usermod --add-sub${file.slice(8)}s ${from}-${to} root`;
      throw new VirtError('CONFIG_UNSUPPORTED', { detail });
    }
  }
}
