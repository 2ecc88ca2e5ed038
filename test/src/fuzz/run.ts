/** A run over several threads: shares the documents out, gathers what comes out, and ends a thread that hangs. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Failure, Outcomes } from './frame';
import type { Share, Told } from './worker';

export interface RunOptions {
  readonly target: string;
  readonly seed: number;
  /** Index of the first document. */
  readonly from: number;
  readonly count: number;
  readonly threads: number;
  /** A document that takes longer has failed. */
  readonly patienceMs: number;
  /** No more than this many failures are gathered; then the run ends. */
  readonly maxFailures: number;
  readonly progress: (tried: number) => void;
}

export interface RunResult {
  readonly outcomes: Outcomes;
  readonly failures: readonly Failure[];
  readonly tried: number;
}

/** How often hanging is looked for, and progress told. */
const beatMs = 1000;

export async function run(options: RunOptions): Promise<RunResult> {
  const outcomes: Outcomes = {};
  const failures: Failure[] = [];
  let tried = 0;
  const stop = new AbortController();
  const take = (told: Told): void => {
    if (told.kind === 'failure') failures.push(told.failure);
    if (failures.length >= options.maxFailures) stop.abort();
    if (told.kind !== 'counts') return;
    tried += told.tried;
    for (const [word, number] of Object.entries(told.outcomes)) outcomes[word] = (outcomes[word] ?? 0) + number;
  };
  const beat = setInterval(() => options.progress(tried), beatMs);
  try {
    const threads = Array.from({ length: options.threads }, (_, offset) => thread(options, offset, take, stop.signal));
    await Promise.all(threads);
  } finally {
    clearInterval(beat);
  }
  return { outcomes, failures: failures.slice(0, options.maxFailures), tried };
}

/** One thread's share; after a document that hangs a new thread goes on behind it. */
async function thread(
  options: RunOptions,
  offset: number,
  take: (told: Told) => void,
  stop: AbortSignal,
): Promise<void> {
  const to = options.from + options.count;
  for (let from = options.from + offset; from < to && !stop.aborted;) {
    const hung = await share({ ...options, from, to, stride: options.threads }, take, stop);
    if (hung === undefined) return;
    take({ kind: 'failure', failure: { index: hung, reason: `did not end within ${options.patienceMs} ms` } });
    from = hung + options.threads;
  }
}

/** Undefined when the share is done; otherwise the index of the document that hung. */
function share(
  { target, seed, from, to, stride, patienceMs }: Omit<Share, 'position'>,
  take: (told: Told) => void,
  stop: AbortSignal,
): Promise<number | undefined> {
  const position = new Int32Array(new SharedArrayBuffer(4));
  position[0] = -1;
  const workerData: Share = { target, seed, from, to, stride, patienceMs, position };
  const worker = new Worker(join(__dirname, 'worker.js'), { workerData });
  return new Promise<number | undefined>((resolve, reject) => {
    let seen = { at: -1, since: performance.now() };
    const watch = setInterval(() => {
      const at = Atomics.load(position, 0);
      if (at !== seen.at) seen = { at, since: performance.now() };
      // The thread itself tells of a document that was slow but came to an end.
      else if (at >= 0 && performance.now() - seen.since > patienceMs + beatMs) end(at);
    }, beatMs);
    const end = (hung?: number): void => {
      clearInterval(watch);
      stop.removeEventListener('abort', abort);
      void worker.terminate();
      resolve(hung);
    };
    const abort = (): void => end();
    stop.addEventListener('abort', abort);
    worker.on('message', (told: Told) => (told.kind === 'done' ? end() : take(told)));
    worker.on('error', (error) => {
      end();
      reject(error);
    });
  });
}
