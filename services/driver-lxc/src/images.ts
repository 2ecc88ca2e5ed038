/**
 * File systems in images and on block devices: mounted on the host, and bound into the container, whose cgroup may open no loop device
 * but those that it was given, and whose user namespace the kernel lets mount no image.
 */
import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { Domain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import { mountBelow, type MountFolder } from './host-mounts';
import { output } from './programs';

/** A loop device, and the file that the kernel says is behind it; its name alone from before that was noted. */
export type Loop = string | { device: string; file: string };

/**
 * Where each image and block device of a document is mounted, by its path.
 * Throws `SYSTEM_ERROR`; what came about until then stays mounted.
 */
export async function mountImages(
  { devices }: Pick<Domain, 'devices'>,
  folder: MountFolder,
): Promise<Map<string, string>> {
  const mounted = new Map<string, string>();
  const { filesystems } = devices;
  for (const { type, source } of filesystems) {
    const path = type === 'file' ? source?.file : type === 'block' ? source?.dev : undefined;
    if (path === undefined || mounted.has(path)) continue;
    const shared = filesystems.filter((one) => one.source?.file === path || one.source?.dev === path);
    const access = shared.every(({ readonly }) => readonly) ? 'ro' : 'rw';
    // Of a loop device that mount(8) makes the kernel lets go with the last mount. Device nodes are given by the document alone.
    const options = [access, 'nodev', ...(type === 'file' ? ['loop'] : [])].join(',');
    const words = ['-t', await fileSystemOn(path), '-o', options];
    const name = `image${mounted.size}`;
    mounted.set(path, await inTurn(path, () => mountBelow(folder, name, words, path)));
  }
  return mounted;
}

/** What is being mounted, by device and inode. */
const turns = new Map<string, Promise<unknown>>();

/**
 * One after the other: mount(8) takes the loop device that is over a file already, and two that look for one at once make two, which
 * are two disks to the kernel, each with a file system that knows nothing of the other's writes.
 */
async function inTurn<T>(path: string, mount: () => Promise<T>): Promise<T> {
  const { dev, ino } = statSync(path);
  const file = `${dev}:${ino}`;
  const turn = Promise.resolve(turns.get(file)).then(mount);
  const done = turn.then(
    () => undefined,
    () => undefined,
  );
  turns.set(file, done);
  try {
    return await turn;
  } finally {
    if (turns.get(file) === done) turns.delete(file);
  }
}

/** blkid's exit code 2: nothing it knows. */
async function fileSystemOn(path: string): Promise<string> {
  const type = await output('blkid', ['-p', '-o', 'value', '-s', 'TYPE', '--', path]).catch(() => '');
  if (type === '') throw new VirtError('SYSTEM_ERROR', { detail: `'${path}' holds no file system` });
  return type;
}

/** Of a container that an earlier release has started. One that has gone may be somebody else's by now: that is left alone. */
export async function dropLoops(loops: readonly Loop[] | undefined, log: Log): Promise<void> {
  for (const loop of loops ?? []) {
    const device = typeof loop === 'string' ? loop : loop.device;
    if (typeof loop !== 'string' && fileBehind(device) !== loop.file) continue;
    await output('losetup', ['--detach', device]).catch((err: unknown) =>
      log.warn({ err, device }, 'cannot detach a loop device'),
    );
  }
}

function fileBehind(device: string): string | undefined {
  try {
    const file = readFileSync(`/sys/block/${basename(device)}/loop/backing_file`, 'utf8').trim();
    return file.replace(/ \(deleted\)$/, '');
  } catch {
    return undefined;
  }
}
