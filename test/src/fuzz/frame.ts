/**
 * Makes documents of a target and tries them, one after the other.
 *
 * Document `index` of a run depends on the seed and the index alone, so any one can be made again by itself.
 */
import { readFileSync } from 'node:fs';
import { mutateBytes } from './bytes';
import { Random } from './random';
import type { FuzzTarget } from './target';

/** A document that made its reader throw what no caller may see, or that took too long. */
export interface Failure {
  readonly index: number;
  readonly reason: string;
}

/** How many documents came out in each way, by the target's word. */
export type Outcomes = Record<string, number>;

/** A target with its seeds at hand. */
export class Source {
  readonly #seeds: readonly Uint8Array[];
  readonly #findings: readonly Uint8Array[];

  constructor(
    readonly target: FuzzTarget,
    readonly seed: number,
  ) {
    this.#seeds = target.seeds();
    this.#findings = target.findings?.() ?? [];
  }

  /** The document at this place of the run: earlier findings first, then damaged seeds. */
  document(index: number): Uint8Array {
    const finding = this.#findings[index];
    if (finding) return finding;
    const random = new Random(this.seed, index);
    const [one, other] = [random.pick(this.#seeds), random.pick(this.#seeds)];
    return this.target.mutate ? this.target.mutate(one, other, random) : mutateBytes(one, other, random);
  }

  /**
   * Tries one document and counts its outcome; what is wrong with it is the answer.
   * @param patienceMs of a processor: a machine that is busy elsewhere makes no document a slow one
   */
  async try(index: number, patienceMs: number, outcomes: Outcomes): Promise<Failure | undefined> {
    const document = this.document(index);
    const before = processorMs();
    try {
      const outcome = this.target.run(document);
      const word = typeof outcome === 'string' ? outcome : await outcome;
      outcomes[word] = (outcomes[word] ?? 0) + 1;
    } catch (error) {
      return { index, reason: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    const took = processorMs() - before;
    return took > patienceMs ? { index, reason: `took ${took} ms of a processor` } : undefined;
  }
}

/** Processor time of this thread so far, milliseconds: fields 14 and 15 of proc(5)'s stat, in hundredths of a second. */
function processorMs(): number {
  const stat = readFileSync('/proc/thread-self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
