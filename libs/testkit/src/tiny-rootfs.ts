/** The tiny root file system (tools/lxc-rootfs) as a test or a benchmark runs a container on it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { checkout } from './programs';

/** First words of the line on the console that tells that the container is up. */
export const tinyRootfsBooted = 'tiny-rootfs: booted';

export interface TinyRootfsOptions {
  /** User and group of the host that own it, for a container whose `<idmap>` maps 0 to them; needs root. */
  firstId?: number;
}

/**
 * A root file system of its own for a container, in a new or empty folder (a tenth of a second).
 * Its init is `/sbin/init`; what it understands and says stands in tools/lxc-rootfs/README.md. Needs busybox-static.
 */
export async function tinyRootfs(folder: string, { firstId }: TinyRootfsOptions = {}): Promise<string> {
  return build('--into', folder, ...(firstId === undefined ? [] : ['--first-id', String(firstId)]));
}

/** The same as an ext4 image. */
export async function tinyRootfsImage(file: string): Promise<string> {
  return build('--image', file);
}

async function build(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(join(checkout, 'tools', 'lxc-rootfs', 'build.sh'), args);
  return stdout.trim();
}
