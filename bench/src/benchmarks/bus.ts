/** What the bus and the domain service carry: commands a second, replay of the log, a registry of ten thousand domains. */
import { Stack } from '@virtbus/testkit';
import { type Bench, type Benchmark } from '../bench';
import { commandRows } from '../bus/commands';
import { registryRows } from '../bus/registry';
import { replayRows } from '../bus/replay';
import { type Row } from '../measure/row';

/** Hosts of simulated guests: through the real driver runtime, journal and bus. */
const hosts = ['t1', 't2', 't3', 't4'];

export const bus: Benchmark = {
  name: 'bus',
  doc: 'commands through 1, 2 and 4 copies of the domain service; replay of 100 000 events; a registry of 10 000 domains',
  run: async (bench) => [
    ...(await within(bench, commandRows)),
    ...(await within(bench, registryRows)),
    ...(await within(bench, replayRows)),
  ],
};

async function within(bench: Bench, rows: (bench: Bench, stack: Stack) => Promise<Row[]>): Promise<Row[]> {
  const starting = Stack.start({ hosts: [], testHosts: hosts });
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> =>
    (ended ??= starting.then(
      (stack) => stack[Symbol.asyncDispose](),
      () => undefined,
    ));
  bench.cleanUp.add('the simulated hosts', end);
  try {
    return await rows(bench, await starting);
  } finally {
    await end();
  }
}
