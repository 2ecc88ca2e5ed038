/** Rename: claim the new name, have the home host take it, let go of the old one. */
import { driverRename, isVirtError, renameDomain } from '@virtbus/shared';
import { endpoint, type Endpoint } from '@virtbus/shared/bus';
import { askFor } from '../ask';
import { checkName } from '../definition';
import { hostAsker, locate, summaryOf, type Fleet } from '../fleet';

export function renameEndpoint(fleet: Fleet): Endpoint {
  return endpoint(renameDomain, async ({ name }, call, fail) => {
    checkName(name);
    const target = call.target!;
    const home = await locate(fleet, target);
    if (home.left) throw fail('DOMAIN_NOT_FOUND', { domain: target });
    const before = await summaryOf(fleet, home.uuid, call.timeoutMs);
    const undo = await fleet.claims
      .name({ name, uuid: home.uuid, forMs: call.timeoutMs + 60_000 })
      .catch((error: unknown) => {
        if (!isVirtError(error, 'DOMAIN_EXISTS')) throw error;
        throw fail('DOMAIN_EXISTS', { detail: `domain with name '${name}' already exists` });
      });
    try {
      const { domain } = await askFor(fleet, driverRename, { name }, call, home, home);
      await fleet.registry.follow({ ...before, name: before.name }, domain);
      await fleet.knowledge.answered(domain);
      return { domain };
    } catch (error) {
      await takeBack(error);
      throw error;
    }

    /** The new name goes back unless the host has taken it, or cannot tell. */
    async function takeBack(error: unknown): Promise<void> {
      const there = isVirtError(error, 'HOST_OFFLINE') ? 'absent' : await hostAsker(fleet.bus)(home, home.uuid);
      if (there === 'unknown' || (there !== 'absent' && there.name === name)) return;
      await undo().catch((err: unknown) => call.log.warn({ err, name }, 'the claim on a name could not be taken back'));
    }
  });
}
