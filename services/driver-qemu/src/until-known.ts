/** What became of a command whose answer was lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { QemuGuest } from './guest';

/** Until QEMU is asked once more for what it did not answer, milliseconds. */
const askAgainMs = 500;

/** Asked for until it is known. @param whenEnded what holds of a guest that has ended meanwhile */
export async function untilKnown(
  guest: Pick<QemuGuest, 'ended'>,
  look: () => Promise<boolean>,
  whenEnded: boolean,
): Promise<boolean> {
  const ended = guest.ended.then(() => whenEnded);
  for (;;) {
    const known = await Promise.race([ended, look().catch(() => undefined)]);
    if (known !== undefined) return known;
    await Promise.race([ended, sleep(askAgainMs, undefined, { ref: false })]);
  }
}
