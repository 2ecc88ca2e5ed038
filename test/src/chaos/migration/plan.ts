/** Which migration meets whom, and when: from a seed, so that a round can be played again. */
import { Random } from '../../fuzz/random';
import { kinds, type Kind } from '../../migration-stand/kinds';
import { points, type Point } from './points';
import { victims, type Victim } from './victims';

export interface Plan {
  index: number;
  kind: Kind;
  victim: Victim;
  /** Where the migration is when the delay begins. */
  point: Point;
  delayMs: number;
  awayMs: number;
  copy: number;
  /** Post-copy: what is left to send is still on its way when somebody is struck. */
  restIsSlow?: boolean;
}

/** Those that come quickly to all points; live ones most often. */
const often = ['live', 'live', 'live', 'paused', 'multifd', 'one disk copied', 'post-copy'];
const kindOf = (name: string): Kind => kinds.find((kind) => kind.name === name)!;
const chosen = often.map(kindOf);
const postcopy = kindOf('post-copy');

/** Once the guest runs on the target. */
const afterSwitch: readonly Point[] = ['target finished', 'step handover', 'step confirm'];

/** Every victim is struck at every point before a pair comes again; in which order, and how long after, the seed says. */
export function planOf(seed: number, index: number): Plan {
  const pairs = points.flatMap((point) => victims.map((victim) => ({ point, victim })));
  const order = new Random(seed, Math.floor(index / pairs.length));
  for (let at = pairs.length - 1; at > 0; at--) {
    const other = order.below(at + 1);
    [pairs[at], pairs[other]] = [pairs[other]!, pairs[at]!];
  }
  const random = new Random(seed + 1, index);
  const { point, victim } = pairs[index % pairs.length]!;
  // At once, a moment later, or any time.
  const delayMs = random.below(random.pick([1, 20, 400]));
  const awayMs = random.below(1_200);
  const plan = { index, point, victim, kind: random.pick(chosen), delayMs, awayMs, copy: random.below(2) };
  // The end of a QEMU that the other one still needs.
  const needed = victim.qemuOf !== undefined && afterSwitch.includes(point) && random.chance(0.7);
  return needed ? { ...plan, kind: postcopy, delayMs: 0, restIsSlow: true } : plan;
}

export const planText = ({ index, kind, victim, point, delayMs, awayMs, restIsSlow }: Plan): string =>
  `${index}: ${kind.name}${restIsSlow ? ', slowly' : ''}; ${victim.name} ${delayMs} ms after '${point}', for ${awayMs} ms`;
