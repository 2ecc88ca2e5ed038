/**
 * The user that guests run as, and the files they need: handed to that user for as long as the guest runs, and given
 * back to the owner they had.
 */
import { accessSync, chownSync, constants, readFileSync, statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { VirtError } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';

export interface RunUser {
  name: string;
  uid: number;
  gid: number;
}

export interface Owned {
  path: string;
  uid: number;
  gid: number;
}

/** Undefined when guests run as we do: we are not root, root was asked for, or there is no such user. */
export function findRunUser(name: string, log: Log): RunUser | undefined {
  if (process.getuid?.() !== 0 || name === 'root') return undefined;
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined) {
    log.warn({ user: name }, 'no such user: guests run as root; make it with: useradd --system --no-create-home');
    return undefined;
  }
  return { name, uid: Number(uid), gid: kvmGroup() ?? Number(gid) };
}

/**
 * The group that this machine leaves KVM to. It becomes the guests' own: a process that is launched under another user
 * has no further groups, and in a container those of the image say nothing of the machine's devices.
 */
export function kvmGroup(device = '/dev/kvm'): number | undefined {
  const stat = statSync(device, { throwIfNoEntry: false });
  return stat && stat.gid !== 0 && (stat.mode & 0o066) === 0o060 ? stat.gid : undefined;
}

/** Give a file to the guest's user. Returns who had it, or nothing when it can use the file as it is. */
export function lend(path: string, user: RunUser | undefined, need: 'read' | 'write'): Owned | undefined {
  const stat = statOf(path);
  if (!user) {
    checkOwnAccess(path, need);
    return undefined;
  }
  checkWay(path, user);
  const bits = need === 'write' ? 0o6 : 0o4;
  const mine = stat.uid === user.uid ? stat.mode >> 6 : stat.gid === user.gid ? stat.mode >> 3 : stat.mode;
  if ((mine & bits) === bits) return undefined;
  chownSync(path, user.uid, user.gid);
  return { path, uid: stat.uid, gid: stat.gid };
}

/** Give files back, the last lent first. A file that is gone needs no owner. */
export function giveBack(owners: readonly Owned[], log: Log): void {
  for (const { path, uid, gid } of [...owners].reverse()) {
    try {
      chownSync(path, uid, gid);
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ENOENT') log.warn({ err, path }, 'cannot give a file back');
    }
  }
}

function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT' ? 'No such file or directory' : code === 'EACCES' ? 'Permission denied' : String(cause);
    throw new VirtError('SYSTEM_ERROR', { detail: `Cannot access file '${path}': ${why}` }, { cause });
  }
}

function checkOwnAccess(path: string, need: 'read' | 'write'): void {
  try {
    accessSync(path, need === 'write' ? constants.R_OK | constants.W_OK : constants.R_OK);
  } catch (cause) {
    throw new VirtError('SYSTEM_ERROR', { detail: `Cannot ${need} '${path}': Permission denied` }, { cause });
  }
}

/** Every folder on the way must let the user through: lending the file itself would not help. */
function checkWay(path: string, user: RunUser): void {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { uid, gid, mode } = statOf(folder);
    const bits = uid === user.uid ? mode >> 6 : gid === user.gid ? mode >> 3 : mode;
    if (!(bits & 1)) {
      throw new VirtError('SYSTEM_ERROR', {
        detail: `Cannot access file '${path}': guests run as '${user.name}', whom ${folder} does not let through; move the file, run 'chmod o+x ${folder}', or set VIRTBUS_QEMU_USER=root`,
      });
    }
    if (folder === dirname(folder)) return;
  }
}
