/** What can be fuzzed: where documents come from, how they are damaged, and what reads them. */
import type { Random } from './random';

export interface FuzzTarget {
  /** As on the command line: `npm run fuzz -- NAME`. */
  readonly name: string;
  /** What may be damaged: many good documents of different kinds. Read once by each worker; the order is always the same. */
  seeds(): readonly Uint8Array[];
  /** Damages `document`; `other` is a second seed for cross-overs. Without it bytes are damaged (`mutateBytes`). */
  mutate?(document: Uint8Array, other: Uint8Array, random: Random): Uint8Array;
  /** Documents that once failed; they are run first, undamaged. */
  findings?(): readonly Uint8Array[];
  /**
   * Reads a document and gives the outcome as one word to count by: `accepted`, or the code of the refusal. What it throws is a
   * failure, and so is taking longer than the run's patience.
   */
  run(document: Uint8Array): string | Promise<string>;
}
