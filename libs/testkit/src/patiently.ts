import { setTimeout as sleep } from 'node:timers/promises';
import { isVirtError } from '@virtbus/shared';

/**
 * As one who tries again what time may mend: on a machine that is busy beyond its means a server that is there may not be in
 * time. A command is to have an id of its own.
 */
export async function patiently<T>(attempt: () => Promise<T>, timeoutMs = 60_000): Promise<T> {
  for (const until = performance.now() + timeoutMs; ; await sleep(200)) {
    try {
      return await attempt();
    } catch (error) {
      const passing = isVirtError(error) && error.retry === 'later';
      if (!passing || performance.now() > until) throw error;
    }
  }
}
