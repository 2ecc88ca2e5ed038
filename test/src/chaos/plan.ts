/** Which job meets whom, and when: from a seed, so that a round can be played again. */
import { Random } from '../fuzz/random';
import { jobs, type ChaosJob, type Phase } from './jobs';
import { victims, type Victim } from './victims';

export interface Plan {
  index: number;
  job: ChaosJob;
  victim: Victim;
  /** From when the delay is counted. */
  phase: Phase;
  delayMs: number;
  awayMs: number;
}

/** Every job meets every victim before a pair comes again; which comes when, and at what moment, the seed says. */
export function planOf(seed: number, index: number): Plan {
  const pairs = jobs.flatMap((job) => victims.map((victim) => ({ job, victim })));
  const order = new Random(seed, Math.floor(index / pairs.length));
  for (let at = pairs.length - 1; at > 0; at--) {
    const other = order.below(at + 1);
    [pairs[at], pairs[other]] = [pairs[other]!, pairs[at]!];
  }
  const random = new Random(seed + 1, index);
  const { job, victim } = pairs[index % pairs.length]!;
  // Any moment, or close to one where something is handed over.
  const anywhere = random.chance(0.5);
  const phase = anywhere || random.chance(0.4) ? 'begin' : 'end';
  const delayMs = random.below(anywhere ? job.lasts : 100);
  return { index, job, victim, phase, delayMs, awayMs: random.below(600) };
}

export const planText = ({ index, job, victim, phase, delayMs, awayMs }: Plan): string =>
  `${index}: ${job.name}; ${victim.name} killed ${delayMs} ms after its ${phase}${victim.guestEnds ? '' : `, away for ${awayMs} ms`}`;
