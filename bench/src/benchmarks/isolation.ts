/**
 * One guest that hangs stops nobody: commands to other guests, with and without a QEMU that is stopped (SIGSTOP) while a
 * command waits for it.
 */
import { isVirtError, resetDomain } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { type Benchmark } from '../bench';
import { machineIsQuiet } from '../clock';
import { document } from '../documents';
import { figure } from '../measure/figure';
import { atMostTimes } from '../measure/row';
import { type Platform } from '../platform';

const name = 'isolation';
const others = 5;
const rounds = 10;
/** How long the command (a reset: it leaves the state as it is) to the guest that hangs may take: longer than a round does. */
const patienceMs = 3_000;

export const isolation: Benchmark = {
  name,
  doc: 'commands to other guests while one QEMU is stopped and a command waits for it, beside the same without',
  run: async (bench) => {
    const platform = await bench.platform();
    const uuids: string[] = [];
    for (let n = 0; n <= others; n++) {
      const uuid = await platform.define(document(`bench-isolation-${n}`, { memoryMib: 32 }));
      uuids.push(uuid);
      await platform.change('start', uuid);
    }
    const [victim, ...free] = uuids as [string, ...string[]];
    await machineIsQuiet();
    const before: number[] = [];
    const beside: number[] = [];
    await commands(platform, free, bench.runs(6));
    for (let round = 0; round < rounds; round++) {
      before.push(...(await commands(platform, free, bench.runs(6))));
      beside.push(...(await besideHanging(platform, victim, () => commands(platform, free, bench.runs(6)))));
    }
    for (const uuid of uuids) {
      await platform.change('destroy', uuid);
      await platform.undefine(uuid);
    }
    return [0.5, 0.95].map((q) => ({
      name,
      metric: `suspend/resume beside one that hangs, p${q * 100}`,
      unit: 'ms',
      ours: figure(beside, q),
      peerName: 'none hangs',
      peer: figure(before, q),
      goal: atMostTimes(1.2),
    }));
  },
};

/** Milliseconds to the reply of each command. */
async function commands(platform: Platform, uuids: readonly string[], times: number): Promise<number[]> {
  const taken: number[] = [];
  for (let n = 0; n < times; n++) {
    for (const uuid of uuids) {
      taken.push((await platform.change('suspend', uuid)).reply);
      taken.push((await platform.change('resume', uuid)).reply);
    }
  }
  return taken;
}

/** Does the work while the victim is stopped, and lets it go on afterwards. */
async function besideHanging<T>(platform: Platform, victim: string, work: () => Promise<T>): Promise<T> {
  const pid = platform.stack.pidOf(victim);
  process.kill(pid, 'SIGSTOP');
  try {
    const waiting = call(platform.bus, resetDomain, {}, { target: victim, timeoutMs: patienceMs }).then(
      () => 'was answered',
      (error: unknown) => (isVirtError(error, 'OPERATION_TIMEOUT') ? 'timed out' : String(error)),
    );
    const result = await work();
    const outcome = await waiting;
    if (outcome !== 'timed out') throw new Error(`the command to the guest that hangs did not time out: ${outcome}`);
    return result;
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}
