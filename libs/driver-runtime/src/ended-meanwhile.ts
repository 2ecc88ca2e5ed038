/** Work on a guest that another command ends meanwhile: how its hypervisor went away is not the reason that it failed. */
import { VirtError } from '@virtbus/shared';
import type { Actor } from './actor';

/**
 * @param what in the words of its error: `its memory was saved`
 * @throws OPERATION_ABORTED when it failed and the guest has ended, or is being ended by us; else what the work throws
 */
export async function whileItRuns<T>(actor: Actor, what: string, work: () => Promise<T>): Promise<T> {
  const { guest } = actor;
  try {
    return await work();
  } catch (cause) {
    if (actor.guest === guest && !actor.ends) throw cause;
    const detail = `domain '${actor.record.name}' was ended while ${what}`;
    throw new VirtError('OPERATION_ABORTED', { detail }, { cause });
  }
}
