/** Numbers behind the names in `<inituser>` and `<initgroup>`: looked up in the container's own passwd and group files. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Domain } from '@virtbus/domain-xml';

export function idsInside({ os, devices }: Domain): { uid?: number; gid?: number } {
  const root = devices.filesystems.find(({ type, target }) => type === 'mount' && target?.dir === '/')?.source?.dir;
  if (root === undefined) return {};
  const uid = idOf(os.inituser, join(root, 'etc/passwd'));
  const gid = idOf(os.initgroup, join(root, 'etc/group'));
  return { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) };
}

/** The third field of the line that begins with the name (passwd(5), group(5)). A plain number needs no look-up. */
function idOf(name: string | undefined, path: string): number | undefined {
  if (name === undefined || /^\+?\d+$/.test(name)) return undefined;
  try {
    const line = readFileSync(path, 'utf8')
      .split('\n')
      .find((each) => each.startsWith(`${name}:`));
    const id = line?.split(':')[2];
    return id === undefined ? undefined : Number(id);
  } catch {
    return undefined;
  }
}
