/** Damage that needs no knowledge of a format. */
import type { Random } from './random';

/** Numbers at which readers of binary formats go wrong. */
const edges = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** A damaged copy: one to four of flipped bits, replaced numbers, cuts, repetitions, pieces of `other`. */
export function mutateBytes(document: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let bytes: Uint8Array = Uint8Array.from(document);
  for (let left = 1 + random.below(4); left > 0; left--) bytes = random.pick(damages)(bytes, other, random);
  return bytes;
}

const damages: readonly ((bytes: Uint8Array, other: Uint8Array, random: Random) => Uint8Array)[] = [
  flipBits,
  writeNumber,
  truncate,
  repeat,
  remove,
  crossOver,
];

function flipBits(bytes: Uint8Array, _other: Uint8Array, random: Random): Uint8Array {
  for (let left = 1 + random.below(8); left > 0 && bytes.length > 0; left--) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
  }
  return bytes;
}

/** One, two, four or eight bytes, in either byte order. */
function writeNumber(bytes: Uint8Array, _other: Uint8Array, random: Random): Uint8Array {
  const size = random.pick([1, 2, 4, 8]);
  if (bytes.length < size) return bytes;
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(BigInt(random.pick(edges)) << (random.chance(0.1) ? 32n : 0n));
  const written = number.subarray(0, size);
  bytes.set(random.chance(0.5) ? written : written.reverse(), random.below(bytes.length - size + 1));
  return bytes;
}

function truncate(bytes: Uint8Array, _other: Uint8Array, random: Random): Uint8Array {
  return bytes.slice(0, random.below(bytes.length + 1));
}

function repeat(bytes: Uint8Array, _other: Uint8Array, random: Random): Uint8Array {
  const [from, to] = piece(bytes, random);
  return joined(bytes.subarray(0, to), bytes.subarray(from, to), bytes.subarray(to));
}

function remove(bytes: Uint8Array, _other: Uint8Array, random: Random): Uint8Array {
  const [from, to] = piece(bytes, random);
  return joined(bytes.subarray(0, from), bytes.subarray(to));
}

function crossOver(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const [from, to] = piece(other, random);
  return joined(bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(from, to));
}

/** Mostly a short piece, at times a long one. */
function piece(bytes: Uint8Array, random: Random): [from: number, to: number] {
  const from = random.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + random.below(random.pick([16, 512, 65536])))];
}

const joined = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
