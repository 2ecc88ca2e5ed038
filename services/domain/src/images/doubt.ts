/**
 * A command whose answer was lost may not have reached its driver, and then nobody would let go of what was prepared for it
 * until the domain changes. The driver is asked, as soon as it is there, never to begin it; what it does not use is let go.
 */
import { driverStorage, isVirtError, type LeaseHolder } from '@virtbus/shared';
import { callDriver } from '@virtbus/shared/bus';
import type { Fleet } from '../fleet';

const firstPauseMs = 1_000;
const longestPauseMs = 30_000;
/** Then it is left to what the driver tells of the domain: some ten minutes. */
const attempts = 24;

/** @param letGo lets go of the claim's leases and of files that nobody came to use */
export async function settleDoubt(
  { bus, log }: Pick<Fleet, 'bus' | 'log'>,
  { domain, host, driver, claim }: LeaseHolder,
  letGo: () => Promise<unknown>,
): Promise<void> {
  let pauseMs = firstPauseMs;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      const { uses } = await callDriver(bus, { host, driver }, driverStorage, { revoke: [claim] }, { domain });
      if (!uses.some((use) => use.claim === claim)) await letGo();
      return;
    } catch (error) {
      if (!isVirtError(error)) throw error;
      log.debug({ domain, reason: error.message }, 'whether a command was begun cannot be found out yet');
    }
    const pause = pauseMs;
    await new Promise((resolve) => setTimeout(resolve, pause).unref());
    pauseMs = Math.min(longestPauseMs, 2 * pauseMs);
  }
}
