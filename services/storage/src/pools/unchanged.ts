/**
 * Which files of a folder are as they were when their headers were read: a file's change time rises with every write, so
 * what has the same one need not be opened again.
 */
import { statSync, type Stats } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** A write within this time may leave a file's change time as it was, milliseconds: clocks of file systems tick. */
const clockTickMs = 2_000;

/** How a file looks from outside; undefined while a change could not be told yet. */
export function lookOf(stats: Stats): string | undefined {
  return stats.ctimeMs < Date.now() - clockTickMs ? appearance(stats) : undefined;
}

const appearance = ({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string => [dev, ino, size, mtimeMs, ctimeMs].join();

/** Tells for each path with the look it had whether it still has it. */
export async function unchanged(folder: string, files: readonly { path: string; seen: string }[]): Promise<boolean[]> {
  const local = localFileSystems.has((await statfs(folder)).type);
  return local ? askKernel(files) : askServer(files);
}

/** A local file system answers from memory, sooner than another thread could be asked. */
async function askKernel(files: readonly { path: string; seen: string }[]): Promise<boolean[]> {
  const same: boolean[] = [];
  for (const { path, seen } of files) {
    // Nobody waits long for us, however large the pool.
    if (same.push(looks(path, seen)) % atOnce === 0) await nextTurn();
  }
  return same;
}

function looks(path: string, seen: string): boolean {
  try {
    return appearance(statSync(path)) === seen;
  } catch {
    return false; // Whoever looks again finds out why.
  }
}

/** A server may not answer at all: that must keep nobody else waiting. */
function askServer(files: readonly { path: string; seen: string }[]): Promise<boolean[]> {
  return Promise.all(
    files.map(({ path, seen }) =>
      stat(path).then(
        (stats) => appearance(stats) === seen,
        () => false,
      ),
    ),
  );
}

const atOnce = 1_000;

/** statfs(2): ext, xfs, btrfs, tmpfs, overlayfs, zfs, f2fs. */
const localFileSystems = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010]);
