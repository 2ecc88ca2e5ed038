/**
 * A command whose answer was lost may not have reached its driver, and then nobody would let go of what was prepared for it
 * until the domain changes. The driver is asked, as soon as it is there, never to begin it; what it does not use is let go.
 */
import { isVirtError } from '@virtbus/shared';
import { attempts } from '../attempts';

const pauses = { first: 1_000, longest: 30_000 } as const;
/** Then it is left to what the driver tells of the domain: some ten minutes. */
const mostAttempts = 24;

interface Doubt {
  /** What the command's images are leased under. */
  claim: string;
  /** Has the driver never begin it, and gives the claims in use. Fails while the driver is not there. */
  revoke: () => Promise<readonly { claim: string }[]>;
  /** Of the leases, and of files that nobody came to use. */
  letGo: () => Promise<unknown>;
}

export async function settleDoubt({ claim, revoke, letGo }: Doubt): Promise<void> {
  for await (const attempt of attempts(pauses)) {
    try {
      const uses = await revoke();
      // What is in use is let go when the driver tells that it is no longer.
      if (!uses.some((use) => use.claim === claim)) await letGo();
      return;
    } catch (error) {
      if (!isVirtError(error) || attempt === mostAttempts) throw error;
    }
  }
}
