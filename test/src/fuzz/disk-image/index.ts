/**
 * Headers of disk images of every format: read by their marks and as each format; what they name is understood or refused. Of those
 * that are accepted, some are shown to QEMU, which has to find the same.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLocation, readHeader, type ImageHeader } from '@virtbus/disk-image';
import { isVirtError } from '@virtbus/shared';
import { checkout } from '@virtbus/testkit';
import type { FuzzTarget } from '../target';
import { damageHeader } from './damage';
import { agree } from './agreement';
import { decode, encode, mutate, strictReader, type SparseImage } from './sparse';

interface Seed {
  name: string;
  size: number;
  pieces: { at: number; bytes: string }[];
}

/** Room behind a header, for what damage adds. */
const room = 64;

/** Images that qemu-img 7.2 made, and a few made by hand of formats that it can not make. */
function seeds(): Uint8Array[] {
  const all = JSON.parse(readFileSync(join(checkout, 'test/src/fuzz/disk-image/seeds.json'), 'utf8')) as Seed[];
  return all.map(({ size, pieces }) =>
    encode({
      size,
      pieces: pieces.map(({ at, bytes }) => ({
        at,
        bytes: Buffer.concat([Buffer.from(bytes, 'base64'), Buffer.alloc(room)]).subarray(0, size - at),
      })),
    }),
  );
}

/** Undefined when the image is refused by design. */
async function readAll(image: SparseImage): Promise<ImageHeader | undefined> {
  const header = await refusable(() => readHeader(strictReader(image), { image: 'fuzzed' }));
  for (const name of [header?.backing?.string, header?.dataFile?.name]) {
    if (name !== undefined) await refusable(() => parseLocation(name));
  }
  return header;
}

async function refusable<T>(run: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (isVirtError(error) && error.code !== 'INTERNAL_ERROR') return undefined;
    if (isVirtError(error) && error.cause === undefined) return undefined;
    throw error;
  }
}

/** One in so many accepted images is shown to QEMU. */
const shown = 4;

export const diskImage: FuzzTarget = {
  name: 'disk-image',
  seeds,
  mutate: (document, other, random) => encode(mutate(decode(document), decode(other), damageHeader, random)),
  run: async (document) => {
    const image = decode(document);
    const header = await readAll(image);
    if (!header) return 'refused';
    if (document.length % shown !== 0) return `accepted`;
    return agree(image, header);
  },
};
