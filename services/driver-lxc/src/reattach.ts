/** Finding a container again after our own restart: by its supervisor's identity, and by the log that it has written meanwhile. */
import { findOrphan, isSame, type Reattached, type ReattachSpec } from '@virtbus/driver-runtime';
import type { DomainState } from '@virtbus/shared';
import { cleanUpOn, takeAway } from './boot';
import { afterReboot } from './after-reboot';
import { endingData, endingOf } from './ending';
import { leaveJoining } from './facets/devices';
import { isFrozen, mayBeFrozen, thaw } from './freezer';
import type { GivenFolders } from './given-folders';
import { LxcGuest, type SavedContainer } from './guest';
import { withNames } from './live';
import type { Machine } from './machine';
import { placeOf, type Place } from './place';
import { lastStartIn, readStartLog, StartLogReader } from './start-log';
import { adoptSupervisor } from './supervisor';

/** The others are waited for: one whose processes the kernel holds may not keep them from being found, milliseconds. */
const patienceMs = 30_000;

export async function reattachContainer(
  spec: ReattachSpec,
  machine: Machine,
  given: GivenFolders,
): Promise<Reattached<LxcGuest>> {
  const { folders, log } = spec;
  const place = placeOf(folders);
  const saved = (spec.saved as SavedContainer | undefined) ?? unrecorded(place);
  if (!saved || !isSame(saved.supervisor)) {
    const { inits, end } = readStartLog(place.log, saved?.logFrom ?? lastStartIn(place.log));
    await takeAway(place, saved, machine, log, patienceMs);
    return { kind: 'gone', ...endingOf(end, false, spec.domain), data: endingData(end, inits.at(-1), place) };
  }
  const story = new StartLogReader(place.log, saved.logFrom);
  const cgroup = machine.cgroups.container(place.cgroup.payload);
  const guest = new LxcGuest({
    live: withNames(spec.domain),
    place,
    saved,
    story,
    supervisor: adoptSupervisor(saved.supervisor, place.run),
    cgroup,
    sink: spec.sink,
    log,
    cleanUp: cleanUpOn(machine),
    rebooted: (rebooted) => afterReboot(rebooted, machine),
    leaveJoining: (found) => leaveJoining(found, machine),
    given,
  });
  giveAgain(guest);
  // We died while it was being paused: told as one that runs, it could be neither resumed nor ended.
  if (spec.state.state !== 'paused' && !isFrozen(cgroup) && mayBeFrozen(cgroup)) thaw(cgroup);
  guest.state = stateOf(spec.state, isFrozen(cgroup), saved.boots > 0 || bootedMeanwhile(saved, story));
  // Once the runtime knows the guest: reboots that nobody has told of.
  queueMicrotask(() => {
    guest.plugAgain();
    guest.readLog();
  });
  return { kind: 'alive', guest, state: guest.state };
}

/** An earlier release has not written it down. */
function giveAgain({ given, live, log }: LxcGuest): void {
  for (const filesystem of live.devices.filesystems) {
    try {
      given.give([filesystem]);
    } catch (err) {
      log.warn({ err }, 'a folder that a container can write cannot be written down');
    }
  }
}

/** The first boot is not told as a reboot, but by the start that we died in. */
function bootedMeanwhile(saved: SavedContainer, story: StartLogReader): boolean {
  if (story.read().inits.length === 0) return false;
  saved.boots = 1;
  return true;
}

/** We died between the spawn and writing it down: the supervisor can be found by what it was given. */
function unrecorded({ name, run, log }: Place): SavedContainer | undefined {
  const supervisor = findOrphan(name, run);
  return supervisor && { supervisor, logFrom: lastStartIn(log), boots: 0, plugged: [] };
}

function stateOf(kept: DomainState, frozen: boolean, booted: boolean): DomainState {
  if (!booted) return kept;
  if (frozen)
    return kept.state === 'paused' && kept.reason !== 'starting-up' ? kept : { state: 'paused', reason: 'user' };
  return kept.state === 'running' ? kept : { state: 'running', reason: 'unpaused' };
}
