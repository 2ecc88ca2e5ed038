/** Files that a service keeps its truth in: replaced whole, so that a crash leaves the old one or the new one. */
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { VirtError } from '../errors';

export function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, { recursive: true, mode });
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

/**
 * Write beside, then take the old one's place: a crash leaves the old one, or the new one under one of its two names.
 * What is only begun has a name of its own, which nobody reads.
 * @param durable it is there after a power cut, too, when the call returns: the content, and by its name (ext4 would write the
 *   latter up to 5 s later)
 */
export function replaceFile(path: string, content: string, durable: boolean): void {
  const begun = begunOf(path);
  try {
    // Not truncated first: a file that was empty in between is flushed when it is closed (ext4, like what is renamed below).
    const fd = openSync(begun, constants.O_WRONLY | constants.O_CREAT, 0o600);
    try {
      writeFileSync(fd, content);
      ftruncateSync(fd, Buffer.byteLength(content));
      if (durable) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (durable) {
      renameSync(begun, path);
      return flushFolder(dirname(path));
    }
    // Renamed over a file, the new one is flushed to disk at once (ext4): half a millisecond that only a file that
    // must outlive a power cut is worth. Readers look at the second name when they find no file under the first.
    const second = secondOf(path);
    renameSync(begun, second);
    // The next one is written into it: to make a file takes longer than all the rest.
    renameIfThere(path, begun);
    renameSync(second, path);
  } catch (cause) {
    try {
      rmSync(begun, { force: true });
    } catch {
      // Where nothing can be written nothing can be removed either: the first failure is the one to tell.
    }
    throw unwritable(path, cause);
  }
}

/** What has been made, renamed or taken away in a folder is so after a power cut, too, on file systems that can say so (fsync(2)). */
export function flushFolder(path: string): void {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'EINVAL' && code !== 'ENOTSUP') throw unwritable(path, cause);
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

const begunOf = (path: string): string => `${path}.part`;
const secondOf = (path: string): string => `${path}.new`;

/** A file that `replaceFile` wrote; undefined when there is none. */
export function readReplaced(path: string): string | undefined {
  return readIfThere(path) ?? readIfThere(secondOf(path));
}

/** Names of the files in a folder that `replaceFile` wrote, each once, whichever of its two it has. */
export function replacedIn(folder: string, ending = ''): string[] {
  const whole = readdirSync(folder).filter((name) => !name.endsWith('.part'));
  return [...new Set(whole.map((name) => name.replace(/\.new$/, '')))].filter((name) => name.endsWith(ending));
}

/** When a file that `replaceFile` wrote was written, milliseconds since 1970; undefined when there is none. */
export function replacedAt(path: string): number | undefined {
  const stats = [path, secondOf(path)].map((name) => statSync(name, { throwIfNoEntry: false }));
  return stats.find((one) => one !== undefined)?.mtimeMs;
}

/** Take away a file that `replaceFile` wrote, under all its names: the one that counts goes last. */
export function dropReplaced(path: string): void {
  try {
    for (const name of [begunOf(path), secondOf(path), path]) rmSync(name, { force: true });
  } catch (cause) {
    throw unwritable(path, cause, 'remove');
  }
}

function unwritable(path: string, cause: unknown, what = 'write'): VirtError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why =
    code === 'ENOSPC' ? 'no space left on the device' : code === 'EACCES' ? 'permission denied' : String(cause);
  return new VirtError('SYSTEM_ERROR', { detail: `cannot ${what} ${path}: ${why}` }, { cause });
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
