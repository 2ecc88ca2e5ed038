/** What is held for a command that we died over before it had begun anything: while the guest runs nothing else would let go of it. */
import type { Actor } from './actor';
import { patienceMs, tellCameToNothing } from './died-over';
import type { Guest } from './driver';
import type { DriverHost } from './host';
import { comingTo, isOnItsWay, targetOfHeld } from './images-held';

/** After a crash of ours: images that a command needed beside those of the disks, where no job and no disk of it has come to be. */
export async function letGoOfLeft<G extends Guest>(host: DriverHost<G>, actor: Actor<G>, guest: G): Promise<void> {
  const { pending: command, disks = {} } = actor.record;
  if (!command || actor.unsettled) return;
  const isOf = (claim: string): boolean => claim === command.id || claim.startsWith(`${command.id}.`);
  const left = Object.entries(disks).flatMap(([name, { claim }]) =>
    name !== targetOfHeld(name) && isOf(claim) && !mayBeOnItsWay(guest, name) ? name : [],
  );
  if (left.length === 0) return;
  const busy = await disksWithJobs(host, guest);
  const idle = left.filter((name) => isOnItsWay(name) || busy?.has(targetOfHeld(name)) === false);
  if (idle.length === 0 || !actor.record.disks) return;
  for (const name of idle) delete actor.record.disks[name];
  tellCameToNothing(actor, command.operation, command);
}

/** What a disk that came was to have, of which the hypervisor has not heard, is on its way no longer. */
const mayBeOnItsWay = (guest: Guest, name: string): boolean =>
  isOnItsWay(name) && (guest.expectsDevices === true || !name.startsWith(comingTo));

/** Undefined when the hypervisor does not say: what its jobs have open stays held. */
async function disksWithJobs<G extends Guest>(host: DriverHost<G>, guest: G): Promise<Set<string> | undefined> {
  try {
    const jobs = await host.implementation.facets.blockJobs?.list(guest, undefined, AbortSignal.timeout(patienceMs));
    return new Set(jobs?.map(({ disk }) => disk));
  } catch {
    return undefined;
  }
}
