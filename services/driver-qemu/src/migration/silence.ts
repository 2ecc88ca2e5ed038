/** A link that loses everything, and a QEMU that hangs, tell nobody: what nothing is heard of for so long is given up. */
import { VirtError } from '@virtbus/shared';

/** Hears how far something has got; throws when it has stood still for too long. */
export function watchdog(target: string, silenceMs: number): (done: number) => void {
  let last = -1;
  let since = Date.now();
  return (done) => {
    if (done !== last) [last, since] = [done, Date.now()];
    if (Date.now() - since < silenceMs) return;
    const check = 'check the network between the two hosts, and QEMU on the target';
    throw given(`nothing has reached ${target} for ${seconds(silenceMs)}; ${check}`);
  };
}

/**
 * Do something that must end in time: its signal is aborted then.
 * @throws OPERATION_FAILED: `late`, with the time that it took
 */
export async function inTime<T>(
  silenceMs: number,
  late: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const time = AbortSignal.timeout(silenceMs);
  try {
    return await work(AbortSignal.any([signal, time]));
  } catch (error) {
    if (time.aborted && !signal.aborted) throw given(`${late} within ${seconds(silenceMs)}`);
    throw error;
  }
}

const given = (detail: string): VirtError => new VirtError('OPERATION_FAILED', { detail });
const seconds = (ms: number): string => `${ms / 1_000} s`;
