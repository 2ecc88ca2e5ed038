/** Services, the bus and QEMU are killed in the middle of block jobs. The long run is `npm run chaos -- block-jobs`. */
import { Stack } from '@virtbus/testkit';
import { planOf, planText } from '../chaos/plan';
import { Rounds, type RoundResult } from '../chaos/round';

const rounds = 6;
/** Another seed is another six of the many moments. */
const seed = Number(process.env['VIRTBUS_TEST_SEED'] ?? 20_260_106);

test(`block jobs go on, end, or fail with a reason, whoever is killed; nothing flushed is lost (seed ${seed})`, async () => {
  await using stack = await Stack.start();
  const guests = new Rounds(stack, await stack.connect());
  const results: RoundResult[] = [];
  for (let index = 0; index < rounds; index++) results.push(await guests.play(planOf(seed, index)));
  const faulty = results.filter(({ faults }) => faults.length > 0);
  expect(faulty.map(({ plan, outcome, faults }) => [planText(plan), outcome, ...faults])).toEqual([]);
  expect(await guests.finish()).toEqual([]);
}, 360_000);
