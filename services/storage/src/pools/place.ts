/** Where the folder of a pool really lies, links followed; and what no pool may be called, or be in. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Pool } from '@virtbus/domain-xml/storage';
import { VirtError } from '@virtbus/shared';

/** For how long a file system may be silent on that, milliseconds: a server that hangs keeps nobody waiting. */
const patienceMs = 2_000;

/**
 * Undefined for a pool that is no folder. What is not there yet lies where it would be made. What a server shares is not touched: a
 * thread that waits for one that hangs is lost, and it is asked of every pool when another one comes.
 */
export async function placeOf({ type, target }: Pool): Promise<string | undefined> {
  const path = target?.path;
  if (path === undefined || !(type === 'dir' || type === 'fs' || type === 'netfs')) return undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => (timer = setTimeout(() => resolve(path), patienceMs)));
  try {
    return await Promise.race([type === 'netfs' ? below(path) : resolved(path), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || path === '/') return path;
    return below(path);
  }
}

async function below(path: string): Promise<string> {
  return join(await resolved(dirname(path)), basename(path));
}

/** Folders of the kernel's: what looks like a file there is a process, a setting or a device. */
const kernels = /^\/(proc|sys|dev)(\/|$)/;
/** Memory, and files like others. */
const ordinary = /^\/dev\/shm(\/|$)/;

/** Throws INVALID_ARG that names what is wrong with a pool that is to be. */
export function mustBeFit({ name = '', target }: Pool, place: string | undefined): void {
  const { path } = target ?? {};
  for (const [what, words] of [
    ['name', name],
    ['target path', path ?? ''],
  ] as const) {
    if (!/\p{Cc}/u.test(words)) continue;
    const detail = `the ${what} ${JSON.stringify(words)} of a pool cannot contain newlines or other control characters`;
    throw new VirtError('INVALID_ARG', { detail });
  }
  if (place === undefined || !kernels.test(place) || ordinary.test(place)) return;
  const where = place === path ? `'${path}'` : `'${path}', which is ${place},`;
  const detail = `pool '${name}': its target path ${where} is the kernel's, and holds no images; choose a folder on a disk`;
  throw new VirtError('INVALID_ARG', { detail });
}
