/** Looking into a folder of images: which volumes lie there, and how much space there is. */
import { readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from '@virtbus/domain-xml/storage';
import { orExplain } from '../system-errors';
import type { Contents, FoundVolume, Knowledge, Space } from './backends/backend';
import { inspect } from './image';
import { unchanged } from './unchanged';

/** How names begin that only we give, for volumes that are not finished: they are no volumes yet. */
export const temporaryPrefix = '.virtbus-';

/** Images that are read at the same time. */
const together = 16;

export async function lookIntoFolder(pool: Pool, known: Knowledge): Promise<Contents> {
  const folder = pool.target?.path ?? '';
  return orExplain(`look into folder ${folder} of pool '${pool.name}'`, async () => {
    const names = (await readdir(folder)).filter(isVolumeName);
    const { kept, rest } = await sorted(folder, names, known);
    const volumes = [...kept];
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let name = rest[next++]; name !== undefined; name = rest[next++]) {
        const found = await inspect(join(folder, name), known.formatOf);
        if (found) volumes.push(found);
      }
    };
    await Promise.all(Array.from({ length: together }, worker));
    return { space: await spaceOfFolder(pool), volumes };
  });
}

/** Volumes that are as they were, and names of those that must be looked at. */
async function sorted(
  folder: string,
  names: readonly string[],
  { before }: Knowledge,
): Promise<{ kept: FoundVolume[]; rest: string[] }> {
  const known = names.flatMap((name) => {
    const found = before(name);
    return found?.seen === undefined ? [] : [{ name, found, path: join(folder, name), seen: found.seen }];
  });
  const same = known.length === 0 ? [] : await unchanged(folder, known);
  const kept = known.filter((_each, index) => same[index]);
  const keptNames = new Set(kept.map(({ name }) => name));
  return { kept: kept.map(({ found }) => found), rest: names.filter((name) => !keptNames.has(name)) };
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
