/** Numbers behind the names in `<inituser>` and `<initgroup>`: looked up in the container's own passwd and group files. */
import { closeSync, constants, fstatSync, readFileSync } from 'node:fs';
import type { Domain } from '@virtbus/domain-xml';
import { openInside } from './inside';

/** A larger one is not read: nothing in a container may keep its host busy. */
const mostBytes = 1024 ** 2;

export function idsInside({ os, devices }: Domain): { uid?: number; gid?: number } {
  const root = devices.filesystems.find(({ type, target }) => type === 'mount' && target?.dir === '/')?.source?.dir;
  if (root === undefined) return {};
  const uid = idOf(os.inituser, root, 'etc/passwd');
  const gid = idOf(os.initgroup, root, 'etc/group');
  return { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) };
}

/** The third field of the line that begins with the name (passwd(5), group(5)). A plain number needs no look-up. */
function idOf(name: string | undefined, root: string, path: string): number | undefined {
  if (name === undefined || /^\+?\d+$/.test(name)) return undefined;
  const line = linesOf(root, path).find((each) => each.startsWith(`${name}:`));
  const id = line?.split(':')[2];
  return id === undefined ? undefined : Number(id);
}

/** None of what is no plain file. */
function linesOf(root: string, path: string): string[] {
  let fd: number;
  try {
    fd = openInside(root, path, constants.O_RDONLY);
  } catch {
    return [];
  }
  try {
    const stat = fstatSync(fd);
    return stat.isFile() && stat.size <= mostBytes ? readFileSync(fd, 'utf8').split('\n') : [];
  } finally {
    closeSync(fd);
  }
}
