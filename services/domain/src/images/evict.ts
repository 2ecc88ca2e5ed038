/**
 * Whether an image that a lease says is held is held indeed. Only its holder's own host can tell: its driver must say that
 * it does not use what was leased, and then never will.
 */
import {
  driverStorage,
  isVirtError,
  storageLeases,
  VirtError,
  type ImageLease,
  type LeaseConflict,
} from '@virtbus/shared';
import { callDriver, type Call } from '@virtbus/shared/bus';
import { onBehalf, type Fleet } from '../fleet';
import { letGoUnused } from './drivers-word';

/** Let the lease go when it is not used. A holder whose host does not answer keeps what it holds. */
export async function isFree(fleet: Fleet, { lease, holder }: LeaseConflict, call: Call): Promise<boolean> {
  const { host, driver, domain, epoch } = holder;
  const context = onBehalf(call, { uuid: domain });
  const storage = { host, driver: 'storage' };
  try {
    const { holders } = await callDriver(fleet.bus, storage, storageLeases, { domain }, context);
    const isInTheWay = ({ identity, mode }: ImageLease): boolean =>
      identity === lease.identity && (mode === 'exclusive' || lease.mode === 'exclusive');
    const held = holders.filter(({ leases }) => leases.some(isInTheWay));
    const claims = held.map(({ claim }) => claim);
    const said = await callDriver(fleet.bus, { host, driver }, driverStorage, { revoke: claims }, context);
    // A driver that was there all the time, and knows nothing of the domain, never brought it to life.
    const tells = said.known ? said.epoch >= epoch : held.every(({ taken }) => said.since < taken);
    if (!tells || said.uses.some(({ claim }) => claims.includes(claim))) return false;
    const holds = await letGoUnused(fleet, holder, claims, said, { context });
    if (holds.some(({ leases }) => leases.some(isInTheWay))) return false;
    await fleet.leases.drop(holder, [lease.identity]);
    const { claim: _claim, ...at } = holder;
    await fleet.leases.hold(at, holds);
    return true;
  } catch (error) {
    fleet.log.info({ reason: VirtError.from(error).message, holder }, 'whether a lease is used cannot be found out');
    if (isVirtError(error)) return false;
    throw error;
  }
}
