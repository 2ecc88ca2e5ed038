/** Pools of type dir: a folder, and the images in it. */
import { constants } from 'node:fs';
import { access, chmod, chown, mkdir, rmdir, stat } from 'node:fs/promises';
import type { Pool } from '@virtbus/domain-xml/storage';
import { VirtError } from '@virtbus/shared';
import { orExplain } from '../../system-errors';
import { lookIntoFolder, spaceOfFolder } from '../folder';
import { pathOf, type Backend } from './backend';

export const directory: Backend = {
  isUp: async (pool) => {
    try {
      return (await stat(pathOf(pool))).isDirectory();
    } catch (error) {
      // Others say nothing of whether it is there.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  },
  build: (pool) => makeFolderOf(pool),
  start: async (pool) => {
    const path = pathOf(pool);
    await orExplain(`use folder ${path} of pool '${pool.name}' (build the pool to make it)`, async () => {
      if (!(await stat(path)).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
      await access(path, constants.R_OK | constants.X_OK);
    });
  },
  stop: async () => undefined,
  remove: (pool) => orExplain(`delete folder ${pathOf(pool)}`, () => rmdir(pathOf(pool))),
  look: lookIntoFolder,
  space: spaceOfFolder,
};

/** The folder of a pool, with the permissions that its document asks for. */
export async function makeFolderOf(pool: Pool): Promise<void> {
  const path = pathOf(pool);
  const { mode, owner, group } = pool.target?.permissions ?? {};
  await orExplain(`make folder ${path}`, async () => {
    const made = await mkdir(path, { recursive: true, mode: mode ?? 0o711 });
    if (made === undefined && !(await stat(path)).isDirectory()) {
      throw new VirtError('OPERATION_FAILED', { detail: `${path} is there and is no folder` });
    }
    if (mode !== undefined) await chmod(path, mode);
    if (owner !== undefined || group !== undefined) await chown(path, owner ?? -1, group ?? -1);
  });
}
