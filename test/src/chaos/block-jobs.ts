/**
 * `npm run chaos -- block-jobs [--rounds N] [--seed S] [--from INDEX]`
 *
 * Kills services and guests in the middle of work on disks, round by round, and looks afterwards whether all is sound. The
 * logs of a round that went wrong are kept in `.cache/chaos/`, and its command is printed. Exit code 1 when one did. Ctrl-C ends
 * the run after the round that is played.
 */
import { Stack } from '@virtbus/testkit';
import { keepLogs } from './logs';
import { numberOf, stopSignals, type Options } from './options';
import { planOf, planText } from './plan';
import { Rounds, type RoundResult } from './round';

export async function blockJobs(values: Options): Promise<number> {
  const seed = numberOf('seed', values.seed, Math.floor(Math.random() * 2 ** 31));
  const rounds = numberOf('rounds', values.rounds, 50);
  const from = numberOf('from', values.from, 0);
  console.log(`block-jobs: ${rounds} rounds, --seed ${seed}`);
  const outcomes = new Map<string, number>();
  let [played, failed] = [0, 0];
  let stack: Stack | undefined;
  let guests: Rounds | undefined;
  const stopped = stopSignals();
  try {
    for (let index = from; index < from + rounds && !stopped(); index++) {
      stack ??= await Stack.start();
      guests ??= new Rounds(stack, await stack.connect());
      const result = await guests.play(planOf(seed, index));
      const kind = result.faults.length > 0 ? 'FAULT' : result.outcome.split(':')[0]!;
      played += 1;
      outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
      console.log(`${planText(result.plan)}: ${result.outcome}`);
      if (result.faults.length === 0) continue;
      failed += 1;
      tell(stack, seed, result);
      await stack[Symbol.asyncDispose]();
      [stack, guests] = [undefined, undefined];
    }
    const last = (await guests?.finish()) ?? [];
    if (last.length > 0) failed += 1;
    for (const fault of last) console.log(`after the last round: ${fault}`);
  } finally {
    await stack?.[Symbol.asyncDispose]();
  }
  for (const [kind, count] of outcomes) console.log(`${String(count).padStart(6)}  ${kind}`);
  console.log(`${played - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function tell(stack: Stack, seed: number, { plan, faults }: RoundResult): void {
  const folder = keepLogs(stack, `${seed}-${plan.index}`);
  for (const fault of faults) console.log(`    ${fault}`);
  console.log(`    logs: ${folder}`);
  console.log(`    again: npm run chaos -- block-jobs --seed ${seed} --from ${plan.index} --rounds 1`);
}
