/**
 * A command whose answer was lost may not have reached its driver, and then nobody would let go of what was prepared for it
 * until the domain changes. The driver is asked, as soon as it is there, never to begin it; what it does not use is let go.
 */
import { isVirtError } from '@virtbus/shared';
import { attempts } from '../attempts';

const pauses = { first: 1_000, longest: 30_000 } as const;
/** Then it is left to what the driver tells of the domain: some ten minutes. */
const mostAttempts = 24;

interface Doubt<Said> {
  /** What the command's images are leased under. */
  claim: string;
  /** Has the driver never begin it, and gives what it says of the domain. Fails while the driver is not there. */
  look: () => Promise<Said>;
  /** Of the leases, and of files that nobody came to use. */
  letGo: (said: Said) => Promise<unknown>;
}

export async function settleDoubt<Said extends { uses: readonly { claim: string; target?: string | undefined }[] }>({
  claim,
  look,
  letGo,
}: Doubt<Said>): Promise<void> {
  for await (const attempt of attempts(pauses)) {
    try {
      const said = await look();
      const its = said.uses.filter((use) => use.claim === claim);
      if (its.length === 0) await letGo(said);
      // What disks use is let go when the driver tells that they do no longer; the command itself may end without a word.
      if (its.every(({ target }) => target !== undefined) || attempt === mostAttempts) return;
    } catch (error) {
      if (!isVirtError(error) || attempt === mostAttempts) throw error;
    }
  }
}
