/** Looking into a folder of images: which volumes lie there, and how much space there is. */
import { readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from '@virtbus/domain-xml/storage';
import { orExplain } from '../system-errors';
import type { Contents, FoundVolume, KnownFormat, Space } from './backends/backend';
import { inspect } from './image';

/** How names begin that only we give, for volumes that are not finished: they are no volumes yet. */
export const temporaryPrefix = '.virtbus-';

/** Images that are read at the same time. */
const together = 16;

export async function lookIntoFolder(pool: Pool, known: KnownFormat): Promise<Contents> {
  const folder = pool.target?.path ?? '';
  return orExplain(`look into folder ${folder} of pool '${pool.name}'`, async () => {
    const names = (await readdir(folder)).filter(isVolumeName);
    const volumes: FoundVolume[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let name = names[next++]; name !== undefined; name = names[next++]) {
        const found = await inspect(join(folder, name), known);
        if (found) volumes.push(found);
      }
    };
    await Promise.all(Array.from({ length: together }, worker));
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
