/** vhdx: a region table names the metadata region, which holds the size as one of its items. Little-endian. */
import type { FormatReader, HeaderBytes } from './types';

const regionTables = [0x30000, 0x40000];
/** Entries of a table that we look at: the format allows 2047, programs write two. */
const maxEntries = 64;
const entryLength = 32;

/** GUIDs as they lie in the file. */
const guid = {
  metadataRegion: '06a27c8b90479a4bb8fe575f050f886e',
  virtualSize: '2442a52f1bcd7648b2115dbed83bf4b8',
  fileParameters: '3767a1ca36fa434db3b633f0aa44e76b',
};
const hasParent = 2;

export const vhdx: FormatReader = {
  format: 'vhdx',
  matches: (start) => start.toString('latin1', 0, 8) === 'vhdxfile',
  read: async (bytes) => {
    if (!vhdx.matches(await bytes.take(0, 8, 'the vhdx header'))) bytes.refuse('it is not a vhdx image');
    const metadata = await metadataRegion(bytes);
    const head = await bytes.take(metadata, 32, 'the metadata region');
    if (head.toString('latin1', 0, 8) !== 'metadata') bytes.refuse('its metadata region is no such region');
    const items = await entries(bytes, metadata + 32n, head.readUInt16LE(10));
    const item = async (id: string, what: string): Promise<Buffer> => {
      const entry = items.find((one) => one.toString('hex', 0, 16) === id) ?? bytes.refuse(`it does not tell ${what}`);
      return bytes.take(metadata + BigInt(entry.readUInt32LE(16)), 8, what);
    };
    const parameters = await item(guid.fileParameters, 'its parameters');
    if ((parameters.readUInt32LE(4) & hasParent) !== 0) {
      bytes.refuse('it stands on a parent, and only formats with a recorded backing file can be followed');
    }
    return {
      format: 'vhdx',
      capacity: (await item(guid.virtualSize, 'its size')).readBigUInt64LE(0),
      clusterSize: parameters.readUInt32LE(0),
    };
  },
};

async function metadataRegion(bytes: HeaderBytes): Promise<bigint> {
  for (const table of regionTables) {
    const head = await bytes.upTo(table, 16);
    if (head.length < 16 || head.toString('latin1', 0, 4) !== 'regi') continue;
    const regions = await entries(bytes, BigInt(table + 16), head.readUInt32LE(8));
    const region = regions.find((one) => one.toString('hex', 0, 16) === guid.metadataRegion);
    if (region) return region.readBigUInt64LE(16);
  }
  return bytes.refuse('it has no metadata region');
}

async function entries(bytes: HeaderBytes, at: bigint, count: number): Promise<Buffer[]> {
  if (count > maxEntries) bytes.refuse(`a table has ${count} entries`);
  const all = await bytes.take(at, count * entryLength, 'a table');
  return Array.from({ length: count }, (_, index) => all.subarray(index * entryLength, (index + 1) * entryLength));
}
