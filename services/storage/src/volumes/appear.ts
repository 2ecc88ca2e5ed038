/** How a finished file takes its name: on disk to the last byte first, and never in the place of another one. */
import { constants } from 'node:fs';
import { access, chmod, chown, link, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Volume } from '@virtbus/domain-xml/storage';

/** Throws EEXIST when the name is taken. */
export async function appear(temporary: string, path: string): Promise<void> {
  await flush(temporary);
  try {
    await link(temporary, path);
  } catch (error) {
    // File systems without hard links (vfat, some network ones): what is there is looked for instead.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    if (await exists(path)) throw Object.assign(new Error(), { code: 'EEXIST' });
    await rename(temporary, path);
  }
  await flush(dirname(path));
}

/** Takes the place of the file that is there, and its owner and mode. */
export async function replace(temporary: string, path: string): Promise<void> {
  const { mode, uid, gid } = await stat(path);
  await chmod(temporary, mode & 0o7777);
  await chown(temporary, uid, gid);
  await flush(temporary);
  await rename(temporary, path);
  await flush(dirname(path));
}

/** The permissions that a document asks for, or this mode. */
export async function permit(path: string, { permissions = {} }: Volume['target'], fallback: number): Promise<void> {
  const { mode = fallback, owner, group } = permissions;
  await chmod(path, mode);
  if (owner !== undefined || group !== undefined) await chown(path, owner ?? -1, group ?? -1);
}

/** A file or folder is on the disk. */
export async function flush(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
