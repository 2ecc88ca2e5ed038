/** What became of a command whose answer was lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { QemuGuest } from './guest';
import { isRefusal } from './monitor-failure';

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

/** Done again until QEMU answers; for what may be done twice. False when the guest has ended meanwhile; throws a refusal. */
export async function untilAnswered(guest: Pick<QemuGuest, 'ended'>, work: () => Promise<unknown>): Promise<boolean> {
  let refusal: unknown;
  const isAnswered = (): Promise<boolean> =>
    work().then(
      () => true,
      (error: unknown) => {
        if (!isRefusal(error)) throw error;
        refusal = error;
        return true;
      },
    );
  const answered = await untilKnown(guest, isAnswered, false);
  if (refusal !== undefined) throw refusal as Error;
  return answered;
}
