/**
 * From a definition to a container whose init runs: configuration written, supervisor launched, init seen in its log.
 * Whatever fails, nothing of it is left.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { initWords, type Domain } from '@virtbus/domain-xml';
import { GuestLog, kill, type StartSpec } from '@virtbus/driver-runtime';
import { isVirtError, VirtError } from '@virtbus/shared';
import { makeFolder } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import { afterReboot } from './after-reboot';
import type { ContainerCgroup } from './cgroups';
import { configurationOf } from './configuration';
import { beginConsoleLog, consoleLogOf } from './console';
import { leaveJoining } from './facets/devices';
import { mountFolders } from './folders';
import { freeze, mayBeFrozen, thaw } from './freezer';
import type { GivenFolders } from './given-folders';
import { LxcGuest, type SavedContainer } from './guest';
import { unmountAll } from './host-mounts';
import { dropLoops, mountImages } from './images';
import { makeLive } from './live';
import type { Machine } from './machine';
import { holdNamespaces } from './namespaces';
import { makeOwnNodes } from './own-nodes';
import { placeOf, type Place } from './place';
import { placeRoot } from './root';
import { makeSecondPlaces } from './second-places';
import { checkPlaces, checkStart } from './start-checks';
import { onGrowth, startHeading, StartLogReader, textFrom, type StartLog } from './start-log';
import { launchSupervisor, type Supervisor } from './supervisor';

export interface ContainerHost {
  machine: Machine;
  /** Path of the seccomp policy. */
  seccomp: string;
  /** Path of the script that brings a mapped root again. */
  rootAgain: string;
  /** Path of the script that makes way for the next boot. */
  betweenBoots: string;
  given: GivenFolders;
  initPid: (domain: string) => number | undefined;
}

export async function bootContainer(spec: StartSpec, host: ContainerHost): Promise<LxcGuest> {
  const { signal, log } = spec;
  const { cgroups, subIds, capabilities } = host.machine;
  const place = placeOf(spec.folders);
  const live = makeLive(spec.domain, spec.id, place, subIds);
  checkStart(live);
  const saved: SavedContainer = {
    supervisor: { pid: 0, startTime: 0, exe: '' },
    logFrom: 0,
    boots: 0,
    plugged: [],
  };
  let supervisor: Supervisor | undefined;
  let story: StartLogReader | undefined;
  try {
    host.given.give(live.devices.filesystems);
    checkPlaces(live, host.given);
    makeFolder(place.run, 0o700);
    const shownFrom = beginConsoleLog(live, place);
    const folder = { path: place.mounts, idmap: live.idmap };
    const folders = await mountFolders(live, folder, host.given);
    const mounted = new Map([...(await mountImages(live, folder)), ...folders]);
    const namespaces = await holdNamespaces(live, folder, host.initPid);
    const nodes = await makeOwnNodes(live, place);
    const root = placeRoot(live, place, mounted, host.rootAgain);
    const second = makeSecondPlaces(live, place, root);
    const configuration = configurationOf(live, { ...host, place, mounted, nodes, root, second, namespaces });
    writeFileSync(place.config, configuration, { mode: 0o600 });
    using file = GuestLog.open(place.log, startHeading());
    saved.logFrom = file.start;
    story = new StartLogReader(place.log, file.start);
    signal.throwIfAborted();
    supervisor = await launchSupervisor({
      program: capabilities.emulator,
      args: lxcStartArgs(place, live),
      folder: place.run,
      logFd: file.fd,
      onSpawned: (identity) => {
        saved.supervisor = identity;
        spec.onSpawned(saved, live);
      },
    });
    const { inits, errors } = await booted(place.log, story, supervisor, signal);
    if (inits.length === 0) throw new VirtError('OPERATION_FAILED', { detail: whyNot(live, place, shownFrom, errors) });
    saved.boots = inits.length;
    const cgroup = cgroups.container(place.cgroup.payload);
    if (spec.paused) await freeze(cgroup, signal);
    const guest = new LxcGuest({
      live,
      place,
      saved,
      story,
      supervisor,
      cgroup,
      sink: spec.sink,
      log,
      cleanUp: cleanUpOn(host.machine),
      rebooted: (rebooted) => afterReboot(rebooted, host.machine),
      leaveJoining: (found) => leaveJoining(found, host.machine),
      given: host.given,
    });
    if (spec.paused) guest.state = { state: 'paused', reason: 'user' };
    return guest;
  } catch (thrown) {
    if (supervisor && story) await endHalfBorn(supervisor, place, story, host.machine);
    await takeAway(place, saved, host.machine, log);
    signal.throwIfAborted();
    throw isVirtError(thrown)
      ? thrown
      : new VirtError(
          'SYSTEM_ERROR',
          { detail: `cannot start '${live.name}': ${String((thrown as Error).message)}` },
          { cause: thrown },
        );
  }
}

/** In the foreground, below us until we end; everything is in the configuration but init's words, which may hold blanks. */
function lxcStartArgs({ lxcPath, name, config, log }: Place, live: Domain): string[] {
  const where = ['-P', lxcPath, '-n', name, '-f', config];
  return ['-F', '-q', ...where, '-o', log, '-l', 'DEBUG', '--', ...initWords(live)];
}

/** Resolves when init runs, or when the supervisor has given up. */
async function booted(
  log: string,
  story: StartLogReader,
  supervisor: Supervisor,
  signal: AbortSignal,
): Promise<StartLog> {
  return new Promise<StartLog>((resolve, reject) => {
    const done = (settle: () => void): void => {
      watch[Symbol.dispose]();
      signal.removeEventListener('abort', aborted);
      settle();
    };
    const look = (): void => {
      const found = story.read();
      if (found.inits.length > 0) done(() => resolve(found));
    };
    const aborted = (): void => done(() => reject(signal.reason as Error));
    const watch = onGrowth(log, look);
    signal.addEventListener('abort', aborted, { once: true });
    void supervisor.exited.then(() => done(() => resolve(story.read())));
    if (signal.aborted) aborted();
    else look();
  });
}

/** liblxc's first error is the cause; what the container has shown goes with it. */
function whyNot(live: Domain, place: Place, shownFrom: number, errors: readonly string[]): string {
  const { name, os } = live;
  const [cause = 'lxc-start has ended without a word'] = errors;
  const missing = /^(No such file or directory|Permission denied|Exec format error) - Failed to exec "(.*)"$/.exec(
    cause,
  );
  const why = missing ? `its init '${missing[2]}' cannot be run: ${missing[1]}` : cause;
  const shown = textFrom(consoleLogOf(live, place), shownFrom, 1_024).trim();
  const args = os.initargs.length > 0 ? ` (with ${os.initargs.length} arguments)` : '';
  return [
    `cannot start container '${name}': ${why}${missing ? args : ''}`,
    shown,
    `log: ${place.log}: ${errors.slice(0, 4).join('; ')}`,
  ]
    .filter(Boolean)
    .join('; ');
}

async function endHalfBorn(
  supervisor: Supervisor,
  place: Place,
  story: StartLogReader,
  { cgroups }: Machine,
): Promise<void> {
  const [pid] = story.read().inits;
  kill(supervisor.identity, pid === undefined ? 'SIGTERM' : 'SIGKILL');
  const cgroup = cgroups.container(place.cgroup.payload);
  const late = setTimeout(() => kill(supervisor.identity, 'SIGKILL'), 500);
  if (pid !== undefined && cgroup.version('freezer') === 1) cgroup.write('freezer', 'freezer.state', 'THAWED');
  await supervisor.exited;
  clearTimeout(late);
}

export const cleanUpOn =
  (machine: Machine) =>
  (guest: LxcGuest): Promise<void> =>
    takeAway(guest.place, guest.saved, machine, guest.log);

/**
 * What liblxc leaves behind: processes of a supervisor that was killed, hooks among them, its cgroups, and what we mounted for it.
 * Network devices go with the container. Until its processes are gone it has not ended: what they write may still arrive.
 * @param patienceMs for processes that the kernel holds
 */
export async function takeAway(
  place: Place,
  saved: Pick<SavedContainer, 'loops'> | undefined,
  { cgroups }: Machine,
  log: Log,
  patienceMs = Infinity,
): Promise<void> {
  const { all, payload } = place.cgroup;
  const began = performance.now();
  for (let pauseMs = 5; !cgroups.remove(all); pauseMs = Math.min(pauseMs * 2, 640)) {
    const left = cgroups.processes(all);
    const waited = performance.now() - began;
    if (waited > (left.length > 0 ? patienceMs : emptyMs)) break;
    if (pauseMs === 640) log.warn({ processes: left }, 'processes of a container that has ended are still there');
    endAll(left, cgroups.container(payload));
    await delay(pauseMs);
  }
  await unmountAll(place.mounts, log);
  await dropLoops(saved?.loops, log);
}

/** How long a cgroup without processes may take to go, milliseconds. */
const emptyMs = 1_000;

function endAll(pids: readonly number[], cgroup: ContainerCgroup): void {
  try {
    for (const pid of pids) if (pid > 0) process.kill(pid, 'SIGKILL');
    if (pids.length > 0 && mayBeFrozen(cgroup)) thaw(cgroup);
  } catch {
    // It was gone already.
  }
}
