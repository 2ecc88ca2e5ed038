/** What the system says when it will not: as an error of the table that names the path and what to do. */
import { isVirtError, VirtError } from '@virtbus/shared';

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  ENOENT: 'no such file or folder',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'it is a folder',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would be larger than the file system allows',
  EROFS: 'the file system is read-only',
  EEXIST: 'it is there already',
  ENOTEMPTY: 'the folder is not empty',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
  EBUSY: 'it is in use',
  EIO: 'input/output error of the device',
};

/** @param what completes "cannot …": `create /srv/images/a.raw` */
export function systemError(what: string, cause: unknown): VirtError {
  if (isVirtError(cause)) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const why = (code !== undefined && reasons[code]) || message || String(cause);
  return new VirtError('SYSTEM_ERROR', { detail: `cannot ${what}: ${why}` }, { cause });
}

/** Does the work; a failure of the system's is told in words. */
export async function orExplain<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw systemError(what, error);
  }
}
