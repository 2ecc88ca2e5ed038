/** Rename: claim the new name, have the home host take it, let go of the old one. */
import { driverAnswer, driverRename, isVirtError, renameDomain } from '@virtbus/shared';
import { callDriver, endpoint, type Call, type Endpoint } from '@virtbus/shared/bus';
import { askFor } from '../ask';
import { checkName } from '../definition';
import { hostAsker, locate, summaryOf, type Fleet, type Home } from '../fleet';

export function renameEndpoint(fleet: Fleet): Endpoint {
  return endpoint(renameDomain, async ({ name }, call, fail) => {
    checkName(name);
    const target = call.target!;
    const home = await locate(fleet, target).catch((error: unknown) => renamedBefore(fleet, name, call, error));
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

/** The command comes again: nobody has the former name, and the domain that has the new one got it by this very command. */
async function renamedBefore(fleet: Fleet, name: string, { id }: Call, error: unknown): Promise<Home> {
  const known = isVirtError(error, 'DOMAIN_NOT_FOUND') ? fleet.projection.named(name) : undefined;
  if (!known) throw error;
  const { state } = await callDriver(fleet.bus, known, driverAnswer, { command: id }, { domain: known.uuid });
  if (state !== 'answered') throw error;
  return known;
}
