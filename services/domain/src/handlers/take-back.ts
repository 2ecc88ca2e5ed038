/** What becomes of a claim when its host did not say yes. */
import { isVirtError, type VirtError } from '@virtbus/shared';
import { DiedOver } from '../ask';
import { hostAsker, type Fleet } from '../fleet';
import type { Claim } from '../registry/claims';

/**
 * Undo the claim if it is certain that the host has not taken the domain. Where the answer was lost the claim stays: the
 * host's inventory settles it, or its time runs out.
 */
export async function takeBack({ bus, log }: Fleet, uuid: string, claim: Claim, error: unknown): Promise<void> {
  if (!isVirtError(error) || isUncertain(error)) return;
  try {
    if (error.code === 'HOST_OFFLINE' || (await hostAsker(bus)(claim.at, uuid)) === 'absent') await claim.undo();
  } catch (err) {
    log.warn({ err, domain: uuid }, 'a claim could not be taken back; its time will run out');
  }
}

/** It may be done yet. */
const isUncertain = (error: VirtError): boolean =>
  error.code === 'RPC' || (error.code === 'OPERATION_TIMEOUT' && !(error instanceof DiedOver));
