/** Looking into a folder of images: which volumes lie there, and how much space there is. */
import { readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Pool } from '@virtbus/domain-xml/storage';
import { orExplain } from '../system-errors';
import { accessTo } from './access';
import type { Contents, FoundVolume, Knowledge, Space } from './backends/backend';
import { inspect } from './image';

/** How names begin that only we give, for volumes that are not finished: they are no volumes yet. */
export const temporaryPrefix = '.virtbus-';

/** Images that are looked at between two turns of others. */
const together = 32;

export async function lookIntoFolder(pool: Pool, known: Knowledge): Promise<Contents> {
  const folder = pool.target?.path ?? '';
  return orExplain(`look into folder ${folder} of pool '${pool.name}'`, async () => {
    const access = await accessTo(folder);
    const names = (await readdir(folder)).filter(isVolumeName);
    const volumes: FoundVolume[] = [];
    for (let at = 0; at < names.length; at += together) {
      const some = names.slice(at, at + together);
      const found = await Promise.all(some.map((name) => inspect(join(folder, name), known, access)));
      for (const each of found) if (each) volumes.push(each);
      if (access.immediate) await nextTurn();
    }
    return { space: await spaceOfFolder(pool), volumes };
  });
}

/** Control characters in a name would make a mess of every document and terminal that shows it. */
const isVolumeName = (name: string): boolean =>
  !name.startsWith(temporaryPrefix) && !/[\u0000-\u001f\u007f]/.test(name);

/** Space of the file system below. */
export async function spaceOfFolder({ target }: Pool): Promise<Space> {
  const { blocks, bfree, bsize } = await statfs(target?.path ?? '');
  const [capacity, available] = [blocks * bsize, bfree * bsize];
  return { capacity, available, allocation: capacity - available };
}
