/**
 * What a disk of the writing guest holds, and what of it is lost: records that the guest has flushed, and all that lies
 * beside them, which nobody writes to. `tools/tiny-guest/rootfs/sbin/records` is the other half.
 */
import { createHash } from 'node:crypto';

export const slots = 64;
const slotBytes = 64 * 1024;
const recordBytes = 4096;
const lineBytes = 64;
/** Bytes of a disk: the records' part, and as much again that is only read. */
export const diskBytes = 2 * slots * slotBytes;

/** A word a slot: the number of its record, `-` for none, `!` for what nobody wrote so; and MD5 sums of the others' bytes. */
export interface DiskContent {
  records: readonly string[];
  around: string;
  rest: string;
}

/** The number of the latest flushed record of each slot, by disk. */
export type Flushed = ReadonlyMap<string, ReadonlyMap<number, number>>;

export const line = (words: string): string => `${words.padEnd(lineBytes - 1)}\n`;

/** Of the whole disk as bytes: what `records check` says of it from inside. */
export function contentOf(disk: string, image: Buffer): DiskContent {
  const found: string[] = [];
  const around = createHash('md5');
  for (let slot = 0; slot < slots; slot++) {
    const from = slot * slotBytes;
    found.push(recordAt(disk, slot, image.subarray(from, from + recordBytes)));
    around.update(image.subarray(from + recordBytes, from + slotBytes));
  }
  const rest = createHash('md5').update(image.subarray(slots * slotBytes, diskBytes));
  return { records: found, around: around.digest('hex'), rest: rest.digest('hex') };
}

function recordAt(disk: string, slot: number, block: Buffer): string {
  const first = block.subarray(0, lineBytes).toString('latin1');
  const [, record] = /^\w+ record (\d+) *\n$/.exec(first) ?? [];
  if (record === undefined) return '-';
  const whole = line(`${disk} record ${record}`).repeat(recordBytes / lineBytes);
  return Number(record) % slots === slot && block.toString('latin1') === whole ? record : '!';
}

/** What the guest has said of one disk, latest last. */
export function contentTold(disk: string, told: string): DiskContent | undefined {
  const words = (what: string): string | undefined =>
    [...told.matchAll(new RegExp(`^tiny-guest: ${what} ${disk}: (.*)$`, 'gm'))].at(-1)?.[1];
  const [found, around, rest] = ['records', 'around', 'rest'].map(words);
  return found && around && rest ? { records: found.split(' '), around, rest } : undefined;
}

/** All that the guest has said that it flushed. A line that a crash cut short names an earlier record of the same disk. */
export function flushedTold(told: string): Flushed {
  const flushed = new Map<string, Map<number, number>>();
  for (const [, disk, number] of told.matchAll(/tiny-guest: flushed (vd[a-z]) (\d+)/g)) {
    const ofDisk = flushed.get(disk!) ?? new Map<number, number>();
    flushed.set(disk!, ofDisk.set(Number(number) % slots, Number(number)));
  }
  return flushed;
}

/** What of a disk is not as it has to be; nothing when no flushed byte is lost. A record that was not yet flushed may be there. */
export function losses(disk: string, found: DiskContent, original: DiskContent, flushed: Flushed): string[] {
  const lost: string[] = [];
  for (let slot = 0; slot < slots; slot++) {
    const wanted = flushed.get(disk)?.get(slot);
    const there = found.records[slot] ?? 'nothing';
    const good = wanted === undefined ? /^(-|\d+)$/.test(there) : Number(there) >= wanted;
    if (!good) lost.push(`${disk}: slot ${slot} holds '${there}', flushed was ${wanted ?? 'nothing'}`);
  }
  if (found.around !== original.around) lost.push(`${disk}: what lies beside the records has changed`);
  if (found.rest !== original.rest) lost.push(`${disk}: what lies behind the records has changed`);
  return lost;
}
