/** Letting a guest run that was paused for something which has failed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isVirtError, type ReasonOf } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import { againMs } from './died-over';
import type { Guest } from './driver';

/**
 * Nobody else would let it run: of a hypervisor that does not answer it is asked again, in the background, until it does.
 * Resolves after the first answer, or when none has come in time. What goes wrong is logged.
 * @param isWanted asked before each further try: the guest is there, and nobody has paused it for something else
 * @param patienceMs how long the first answer may take; as long as the hypervisor gives it when left out
 */
export async function goOn(
  guest: Pick<Guest, 'resume'>,
  reason: ReasonOf<'running'>,
  log: Log,
  isWanted: () => boolean,
  patienceMs?: number,
): Promise<void> {
  const isOver = async (late?: AbortSignal): Promise<boolean> => {
    try {
      await guest.resume(reason, late);
    } catch (err) {
      if (late?.aborted || isVirtError(err, 'OPERATION_TIMEOUT')) return false;
      log.error({ err, reason }, 'a guest that was paused cannot be let run');
    }
    return true;
  };
  if (await isOver(patienceMs === undefined ? undefined : AbortSignal.timeout(patienceMs))) return;
  log.warn({ reason }, 'a guest that was paused may stand still: it is let run as soon as its hypervisor answers');
  void (async () => {
    do await sleep(againMs, undefined, { ref: false });
    while (isWanted() && !(await isOver()));
  })();
}
