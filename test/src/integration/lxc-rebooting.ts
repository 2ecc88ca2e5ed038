/** Having a container reboot from inside, for tests. */
import { readFileSync } from 'node:fs';
import { eventually, isAlive, type Stack } from '@virtbus/testkit';

/** Process 1 gets no signal that it does not catch (proc(5), SigCgt: bit 1 is SIGINT): one that has just begun does not yet. */
export function catchesInterrupt(pid: number): boolean {
  const [, caught] = /^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return (BigInt(`0x${caught}`) & 2n) !== 0n;
}

/** Init, which obeys SIGINT by reboot(2), is told to: it is on its way when this resolves. */
export async function beginReboot(init: number): Promise<void> {
  await eventually(() => catchesInterrupt(init), true);
  process.kill(init, 'SIGINT');
}

/** Resolves when another init is there. */
export async function reboot(stack: Stack, uuid: string): Promise<void> {
  const before = stack.containerInit(uuid);
  await beginReboot(before);
  await eventually(() => isAlive(before), false);
  await eventually(() => stack.containerInit(uuid) !== before, true);
}
