/**
 * Resolving backing chains of 1, 10 and 50 images, beside `qemu-img info --backing-chain` on the same files.
 *
 * Ours runs in this process, as in the storage service; qemu-img is a new process each time, as it is wherever it is used.
 */
import { execFileSync, type ExecFileSyncOptions } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { discoverChain, localImages } from '@virtbus/disk-image';
import type { Bench } from '../bench';
import { figure } from '../measure/figure';
import { atMostTimes, type Row } from '../measure/row';

const lengths = [1, 10, 50];
/** Runs before the first that counts. */
const warmUp = 300;

/** Rows of the benchmark `name`. */
export async function resolveChains(bench: Bench, name: string): Promise<Row[]> {
  const folder = bench.folder.file('chains');
  mkdirSync(folder);
  const options: ExecFileSyncOptions = { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] };
  const create = (...args: string[]): void => void execFileSync('qemu-img', ['create', '-q', ...args], options);
  create('-f', 'qcow2', 'layer-1', '64M');
  for (let n = 2; n <= Math.max(...lengths); n++) {
    create('-f', 'qcow2', '-b', `layer-${n - 1}`, '-F', 'qcow2', `layer-${n}`);
  }
  const rows: Row[] = [];
  for (const length of lengths) {
    const [ours, theirs]: [number[], number[]] = [[], []];
    const location = { type: 'file' as const, path: `${folder}/layer-${length}` };
    const start = { location, format: 'qcow2' as const };
    for (let run = -warmUp; run < bench.runs(50); run++) {
      const began = performance.now();
      const { layers } = await discoverChain(start, { open: localImages({ machine: 'bench' }) });
      const took = performance.now() - began;
      if (layers.length !== length) throw new Error(`we found ${layers.length} of ${length} images`);
      if (run < 0) continue;
      ours.push(took);
      theirs.push(theirTime(`layer-${length}`, length, options));
    }
    rows.push({
      name,
      metric: `chain of ${length}`,
      unit: 'ms',
      ours: figure(ours),
      peerName: 'qemu-img info --backing-chain',
      peer: figure(theirs),
      goal: atMostTimes(0.1),
    });
  }
  return rows;
}

function theirTime(top: string, length: number, options: ExecFileSyncOptions): number {
  const began = performance.now();
  const answer = execFileSync('qemu-img', ['info', '--backing-chain', '--output', 'json', top], options);
  const took = performance.now() - began;
  const found = (JSON.parse(answer.toString()) as unknown[]).length;
  if (found !== length) throw new Error(`qemu-img found ${found} of ${length} images`);
  return took;
}
