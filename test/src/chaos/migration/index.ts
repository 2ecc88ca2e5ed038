/**
 * `npm run chaos -- migration [--rounds N] [--seed S] [--from INDEX]`
 *
 * Strikes every party of a migration at every step of it, round by round, and looks afterwards whether all is sound. The logs
 * of a round that went wrong are kept in `.cache/chaos/`, and its command is printed. Exit code 1 when one did. Ctrl-C ends
 * the run after the round that is played.
 */
import { MigrationStand } from '../../migration-stand/stand';
import { keepLogs } from '../logs';
import { numberOf, stopSignals, type Options } from '../options';
import { planOf, planText } from './plan';
import { points } from './points';
import { Rounds, type RoundResult } from './rounds';
import { victims } from './victims';

export async function migration(options: Options): Promise<number> {
  const seed = numberOf('seed', options.seed, Math.floor(Math.random() * 2 ** 31));
  const count = numberOf('rounds', options.rounds, points.length * victims.length);
  const from = numberOf('from', options.from, 0);
  console.log(`migration: ${count} rounds, --seed ${seed}`);
  const results: RoundResult[] = [];
  const stopped = stopSignals();
  let stand: MigrationStand | undefined;
  let rounds: Rounds | undefined;
  try {
    for (let index = from; index < from + count && !stopped(); index++) {
      stand ??= await MigrationStand.start(['h1', 'h2']);
      rounds ??= new Rounds(stand);
      const result = await rounds.play(planOf(seed, index));
      results.push(result);
      console.log(`${planText(result.plan)}: ${result.outcome}`);
      if (result.faults.length === 0) continue;
      for (const fault of result.faults) console.log(`    ${fault}`);
      console.log(`    logs: ${keepLogs(stand.stack, `migration-${seed}-${index}`)}`);
      console.log(`    again: npm run chaos -- migration --seed ${seed} --from ${index} --rounds 1`);
      await stand[Symbol.asyncDispose]();
      [stand, rounds] = [undefined, undefined];
    }
  } finally {
    await stand?.[Symbol.asyncDispose]();
  }
  const failed = results.filter(({ faults }) => faults.length > 0).length;
  console.log(table(results));
  console.log(outcomes(results));
  console.log(`${results.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** Rounds by victim and point; those that went wrong behind a `!`. */
function table(results: readonly RoundResult[]): string {
  const rows = victims.map(({ name }) => {
    const cells = points.map((point) => {
      const all = results.filter(({ plan }) => plan.point === point && plan.victim.name === name);
      const wrong = all.filter(({ faults }) => faults.length > 0).length;
      return `${all.length || ''}${wrong > 0 ? `!${wrong}` : ''}`.padStart(4);
    });
    return `${name.padEnd(32)}${cells.join('')}`;
  });
  const head = points.map((_, number) => String.fromCharCode(65 + number).padStart(4)).join('');
  const legend = points.map((point, number) => `${String.fromCharCode(65 + number)} ${point}`).join(', ');
  return [`${''.padEnd(32)}${head}`, ...rows, legend].join('\n');
}

function outcomes(results: readonly RoundResult[]): string {
  const counts = new Map<string, number>();
  for (const { outcome } of results) {
    const kind = outcome.split(':')[0]!;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
}
