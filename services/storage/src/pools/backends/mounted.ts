/** Pools of types fs and netfs: a file system that is mounted while the pool runs, and the images in it. */
import { readFile } from 'node:fs/promises';
import type { Pool } from '@virtbus/domain-xml/storage';
import { VirtError } from '@virtbus/shared';
import { run } from '../../programs';
import { lookIntoFolder, spaceOfFolder } from '../folder';
import { pathOf, type Backend } from './backend';
import { directory, makeFolderOf } from './directory';

export const mounted: Backend = {
  isUp: (pool) => isMounted(pathOf(pool)),
  build: async (pool, overwrite, signal) => {
    await makeFolderOf(pool);
    if (pool.type === 'fs') await makeFileSystem(pool, overwrite, signal);
  },
  start: async (pool, signal) => {
    await directory.start(pool, signal);
    if (!(await isMounted(pathOf(pool)))) await run('mount', mountArguments(pool), { signal });
  },
  stop: async (pool) => {
    if (await isMounted(pathOf(pool))) await run('umount', ['--', pathOf(pool)]);
  },
  remove: (pool) => directory.remove(pool),
  look: async (pool, known) => {
    if (await isMounted(pathOf(pool))) return lookIntoFolder(pool, known);
    throw new VirtError('OPERATION_FAILED', { detail: `nothing is mounted on ${pathOf(pool)} any more` });
  },
  space: spaceOfFolder,
};

/** What follows `mount`: never a device that the guest may use as one, never a program that runs with others' rights. */
function mountArguments(pool: Pool): string[] {
  const format = pool.source.format?.type ?? 'auto';
  const options = ['nodev', 'nosuid', 'noexec'];
  if (format === 'cifs') options.push('guest');
  if (format === 'glusterfs') options.push('direct-io-mode=1');
  if (pool.source.protocol) options.push(`nfsvers=${pool.source.protocol.ver}`);
  options.push(...(pool.mountOptions?.options ?? []).map(({ name }) => name));
  // Without a type, mount finds it out of what the server is called.
  const type = pool.type === 'netfs' && format === 'auto' ? [] : ['-t', format];
  return ['-o', options.join(','), ...type, '--', sourceOf(pool, format), pathOf(pool)];
}

function sourceOf({ type, source }: Pool, format: string): string {
  if (type === 'fs') return source.devices[0]?.path ?? '';
  const host = source.hosts[0]?.name ?? '';
  const folder = source.dir?.path ?? '';
  if (format === 'cifs') return `//${host}/${folder.replace(/^\//, '')}`;
  const named = host.includes(':') ? `[${host}]` : host;
  return `${named}:${format === 'glusterfs' ? folder.replace(/^\//, '') : folder}`;
}

/** Whether something is mounted exactly there: proc(5), mountinfo, where blanks in paths are octal. */
async function isMounted(path: string): Promise<boolean> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  return table.split('\n').some((line) => {
    const point = line.split(' ')[4] ?? '';
    return point.replace(/\\(\d{3})/g, (_all, octal: string) => String.fromCharCode(parseInt(octal, 8))) === path;
  });
}

async function makeFileSystem(pool: Pool, overwrite: boolean, signal: AbortSignal): Promise<void> {
  const device = pool.source.devices[0]?.path ?? '';
  const format = pool.source.format?.type ?? 'auto';
  if (format === 'auto') {
    throw new VirtError('OPERATION_FAILED', {
      detail: `pool '${pool.name}' names no file system to make; add <format type='ext4'/> to its <source>`,
    });
  }
  if (!overwrite) await refuseUsed(device, signal);
  const force = format === 'xfs' ? ['-f'] : format.startsWith('ext') ? ['-F', '-q'] : [];
  await run(`mkfs.${format}`, [...force, device], { signal });
}

/** Throws when a device holds something that would be lost. */
export async function refuseUsed(device: string, signal: AbortSignal): Promise<void> {
  const found = await run('blkid', ['-p', '-o', 'value', '-s', 'TYPE', '-s', 'PTTYPE', '--', device], { signal }).catch(
    (error: VirtError) => {
      // blkid(8): nothing that it knows was found. Other failures say nothing of what is there: two at once are one of them.
      if ((error.cause as { code?: unknown } | undefined)?.code === 2) return '';
      throw error;
    },
  );
  const holds = found.trim().replaceAll('\n', ', ');
  if (holds !== '') {
    throw new VirtError('OPERATION_FAILED', {
      detail: `${device} is not empty, it holds ${holds}; build with overwrite to destroy that`,
    });
  }
}
