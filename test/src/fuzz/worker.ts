/**
 * One thread of a run: tries every document of its share and tells failures at once, counts now and then.
 *
 * The index of the document at hand stands in shared memory, so that the main thread sees which one a hung worker is at.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Source, type Failure, type Outcomes } from './frame';
import { targetNamed } from './targets';

export interface Share {
  readonly target: string;
  readonly seed: number;
  /** First index, and one past the last; this worker takes every `stride`th. */
  readonly from: number;
  readonly to: number;
  readonly stride: number;
  readonly patienceMs: number;
  /** One number: the index of the document at hand. */
  readonly position: Int32Array;
}

export type Told =
  | { readonly kind: 'failure'; readonly failure: Failure }
  | { readonly kind: 'counts'; readonly outcomes: Outcomes; readonly tried: number }
  | { readonly kind: 'done' };

/** Counts are told after this many documents. */
const report = 500;

async function work({ target: name, seed, from, to, stride, patienceMs, position }: Share): Promise<void> {
  const tell = (told: Told): void => parentPort?.postMessage(told);
  const target = targetNamed(name);
  if (!target) throw new Error(`there is no target '${name}'`);
  const source = new Source(target, seed);
  let outcomes: Outcomes = {};
  let tried = 0;
  const flush = (): void => {
    tell({ kind: 'counts', outcomes, tried });
    outcomes = {};
    tried = 0;
  };
  for (let index = from; index < to; index += stride) {
    Atomics.store(position, 0, index);
    const failure = await source.try(index, patienceMs, outcomes);
    if (failure) tell({ kind: 'failure', failure });
    if (++tried === report) flush();
  }
  flush();
  tell({ kind: 'done' });
}

void work(workerData as Share);
