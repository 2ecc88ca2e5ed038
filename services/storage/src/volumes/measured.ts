/** What needs qemu-img to measure this processor first, which a busy machine may fail it. */
import { isVirtError } from '@virtbus/shared';

/** How often qemu-img may fail to measure how fast this processor is. */
const measurements = 5;

/**
 * For a passphrase qemu-img measures how many rounds of hashing this processor does in a second, and gives up where the
 * clock of its thread has not moved meanwhile (QEMU's crypto/pbkdf.c): what it has begun it writes anew.
 */
export async function measured(make: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return void (await make());
    } catch (error) {
      const again = isVirtError(error) && error.message.includes('Unable to get accurate CPU usage');
      if (!again || attempt === measurements) throw error;
    }
  }
}
