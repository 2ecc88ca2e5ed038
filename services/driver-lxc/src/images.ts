/** Images of file systems below the root: a loop device stands in for each file, from start to end of the container. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import type { BlockSource, Domain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';

const run = promisify(execFile);

/** A loop device, and the file that the kernel says is behind it; its name alone from before that was noted. */
export type Loop = string | { device: string; file: string };

/**
 * What stands ready for each image and block device of a document. The root file system is liblxc's own affair.
 * @param loops the devices made, for `dropLoops`; filled while they are being made
 */
export async function openImages(
  { devices }: Pick<Domain, 'devices'>,
  loops: Loop[],
): Promise<Map<string, BlockSource>> {
  const ready = new Map<string, BlockSource>();
  for (const { type, source, target, readonly } of devices.filesystems) {
    if (target?.dir === '/') continue;
    if (type === 'block' && source?.dev) ready.set(source.dev, await holding(source.dev, source.dev));
    if (type === 'file' && source?.file) {
      const device = await output('losetup', ['--find', '--show', ...(readonly ? ['--read-only'] : []), source.file]);
      loops.push({ device, file: fileBehind(device) ?? '' });
      ready.set(source.file, await holding(device, source.file));
    }
  }
  return ready;
}

/** One that has gone, as with a boot of the host, may be somebody else's by now: that is left alone. */
export async function dropLoops(loops: readonly Loop[], log: Log): Promise<void> {
  for (const loop of loops) {
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

/** blkid's exit code 2: nothing it knows. */
async function holding(device: string, source: string): Promise<BlockSource> {
  const fsType = await output('blkid', ['-p', '-o', 'value', '-s', 'TYPE', device]).catch(() => '');
  if (fsType === '') throw new VirtError('SYSTEM_ERROR', { detail: `'${source}' holds no file system` });
  return { device, fsType };
}

async function output(program: string, args: string[]): Promise<string> {
  try {
    return (await run(program, args)).stdout.trim();
  } catch (cause) {
    const { stderr, message } = cause as { stderr?: string; message: string };
    throw new VirtError('SYSTEM_ERROR', { detail: `${program}: ${stderr?.trim() || message}` }, { cause });
  }
}
