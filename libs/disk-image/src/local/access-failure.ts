/** What the operating system refuses, in its own words. */
import { VirtError } from '@virtbus/shared';

const told: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  ENOTDIR: 'Not a directory',
  EISDIR: 'Is a directory',
  EACCES: 'Permission denied',
  EPERM: 'Operation not permitted',
  EROFS: 'Read-only file system',
  ETXTBSY: 'Text file busy',
  ELOOP: 'Too many levels of symbolic links',
  ENAMETOOLONG: 'File name too long',
  ENOSPC: 'No space left on device',
  EIO: 'Input/output error',
};

/** @throws VirtError SYSTEM_ERROR, always */
export function accessFailure(what: string, cause: unknown): never {
  const { code, message } = cause as NodeJS.ErrnoException;
  throw new VirtError('SYSTEM_ERROR', { detail: `${what}: ${told[code ?? ''] ?? message}` }, { cause });
}
