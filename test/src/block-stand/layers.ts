/**
 * A chain of four images: qcow2 on qcow2 on qcow2 on raw. Each layer has clusters of its own, some over those of the layer
 * below, and every line says which disk, layer and place it was written for.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { qemuImg } from '../integration/storage-stand';
import { contentOf, diskBytes, line, type DiskContent } from './content';

export interface Layers {
  /** Paths, the active image first: three of qcow2, one raw. */
  files: readonly string[];
  content: DiskContent;
}

const clusterBytes = 64 * 1024;
/** Which clusters of every eight a layer has; layer 0 has all. */
const clustersOf: readonly (readonly [first: number, count: number])[] = [
  [0, 8],
  [1, 3],
  [3, 3],
  [5, 3],
];

/** @param disk vda, vdb, …: what the records of that disk are called; @param prefix of the files' names */
export function buildLayers(folder: string, disk: string, prefix: string): Layers {
  const seen = Buffer.alloc(diskBytes);
  const files: string[] = [];
  clustersOf.forEach((_, layer) => {
    const path = join(folder, `${prefix}-${layer}.${layer === 0 ? 'img' : 'qcow2'}`);
    const below = files[0];
    files.unshift(path);
    const parts = write(seen, disk, layer);
    if (!below) {
      writeFileSync(path, seen);
    } else {
      const format = layer === 1 ? 'raw' : 'qcow2';
      qemuImg('create', '-q', '-f', 'qcow2', '-F', format, '-b', below, path);
      writeParts(path, seen, parts);
    }
    chmodSync(path, 0o644);
  });
  return { files, content: contentOf(disk, seen) };
}

interface Part {
  from: number;
  length: number;
}

/** Puts the lines of a layer over what is seen so far; where they are. */
function write(seen: Buffer, disk: string, layer: number): Part[] {
  const [first, count] = clustersOf[layer]!;
  const parts: Part[] = [];
  for (let from = first * clusterBytes; from < diskBytes; from += 8 * clusterBytes) {
    const length = count * clusterBytes;
    const lines = Array.from({ length: length / 64 }, (_, n) => line(`${disk} layer ${layer} at ${from + n * 64}`));
    seen.write(lines.join(''), from, 'latin1');
    parts.push({ from, length });
  }
  return parts;
}

function writeParts(path: string, seen: Buffer, parts: readonly Part[]): void {
  const pattern = (index: number): string => `${path}.part${index}`;
  parts.forEach(({ from, length }, index) => writeFileSync(pattern(index), seen.subarray(from, from + length)));
  const commands = parts.flatMap(({ from, length }, index) => ['-c', `write -s ${pattern(index)} ${from} ${length}`]);
  execFileSync('qemu-io', ['-f', 'qcow2', ...commands, path], { stdio: 'pipe' });
  parts.forEach((_, index) => rmSync(pattern(index)));
}
