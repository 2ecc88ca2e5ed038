/** Ending a guest that has come to nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '@virtbus/shared/log';
import type { Guest } from './guest';

/** Until one that could not be ended is told again, milliseconds. */
const againMs = 500;

/**
 * Resolves when it is gone. One that the kernel holds, as on storage that does not answer, is waited for: until it is gone
 * what it writes may still arrive, so nothing that it has open is anybody else's.
 */
export async function endFailed(guest: Pick<Guest, 'destroy'>, log: Log): Promise<void> {
  for (let told = false; ; told = true) {
    try {
      return await guest.destroy({ graceful: false, reason: 'failed', detail: 'failed' });
    } catch (err) {
      if (!told) log.error({ err }, 'a guest that failed to start cannot be ended; it is tried until it is gone');
      await sleep(againMs, undefined, { ref: false });
    }
  }
}
