/**
 * An image as a document of the fuzzer: its length and the pieces that are not zero, so that a header at 3 MiB costs no 3 MiB.
 *
 * `length u32 LE`, then for each piece `offset u32 LE, length u16 LE, bytes`.
 */
import type { Random } from '../random';

export interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

export interface SparseImage {
  readonly size: number;
  readonly pieces: readonly Piece[];
}

/** Longer files only take time. */
const longest = 16 * 1024 * 1024;

export function encode({ size, pieces }: SparseImage): Uint8Array {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(size);
  return new Uint8Array(
    Buffer.concat([
      head,
      ...pieces.flatMap(({ at, bytes }) => {
        const piece = Buffer.alloc(6);
        piece.writeUInt32LE(at);
        piece.writeUInt16LE(bytes.length, 4);
        return [piece, bytes];
      }),
    ]),
  );
}

/** Anything is some image: what does not fit is left out. */
export function decode(document: Uint8Array): SparseImage {
  const bytes = Buffer.from(document.buffer, document.byteOffset, document.length);
  if (bytes.length < 4) return { size: 0, pieces: [] };
  const size = bytes.readUInt32LE() % longest;
  const pieces: Piece[] = [];
  for (let at = 4; at + 6 <= bytes.length;) {
    const [offset, length] = [bytes.readUInt32LE(at), bytes.readUInt16LE(at + 4)];
    const end = Math.min(bytes.length, at + 6 + length);
    const fitting = bytes.subarray(at + 6, Math.min(end, at + 6 + Math.max(0, size - offset)));
    if (fitting.length > 0) pieces.push({ at: offset, bytes: fitting });
    at = end;
  }
  return { size, pieces };
}

/** Reads as a file would, and as strictly as a reader has to be. */
export function strictReader({ size, pieces }: SparseImage) {
  let reads = 0;
  return {
    size,
    read: (offset: number, length: number): Promise<Uint8Array> => {
      if (
        !Number.isSafeInteger(offset) ||
        !Number.isSafeInteger(length) ||
        offset < 0 ||
        length < 0 ||
        offset + length > size
      ) {
        throw new Error(`read of ${length} bytes at ${offset}, of ${size}`);
      }
      if (length > 65536 || ++reads > 200) throw new Error(`read number ${reads}, of ${length} bytes`);
      const all = Buffer.alloc(length);
      for (const piece of pieces) {
        const from = Math.max(offset, piece.at);
        const to = Math.min(offset + length, piece.at + piece.bytes.length);
        if (from < to) all.set(piece.bytes.subarray(from - piece.at, to - piece.at), from - offset);
      }
      return Promise.resolve(all);
    },
  };
}

/** Mostly the first piece, where headers are; at times the length of the file. */
export function mutate(
  image: SparseImage,
  other: SparseImage,
  damage: (bytes: Uint8Array, other: Uint8Array, random: Random) => Uint8Array,
  random: Random,
): SparseImage {
  if (image.pieces.length === 0) return image;
  const size = random.chance(0.05) ? random.pick([0, 511, 512, 33279, random.below(image.size + 1)]) : image.size;
  const chosen = random.chance(0.7) ? 0 : random.below(image.pieces.length);
  const pieces = image.pieces.map((piece, index) =>
    index === chosen
      ? { at: piece.at, bytes: damage(piece.bytes, other.pieces[0]?.bytes ?? piece.bytes, random).subarray(0, 8192) }
      : piece,
  );
  return { size, pieces };
}
