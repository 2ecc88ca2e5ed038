/**
 * Finding a guest again after our own restart: by its process's identity, then by what its monitor says it is.
 */
import { findOrphan, isSame, type Reattached, type ReattachSpec } from '@virtbus/driver-runtime';
import type { DomainState } from '@virtbus/shared';
import { agentPort } from './agent-port';
import { removeLeftBackup } from './backup/kind';
import { cleanUpOn, type BootHost } from './boot';
import { monitorPath, QemuGuest } from './guest';
import { removeTapsOf } from './networks';
import { adopt } from './process';
import { PtyConsole } from './pty-console';
import { QmpClient, type RunState } from './qmp';
import { giveBack } from './run-user';
import type { SavedQemu } from './saved-guest';
import { thaw } from './snapshots/freeze';

/** A monitor that does not answer in this time belongs to a guest that hangs: it is adopted all the same. */
const patienceMs = 5_000;

export async function reattachGuest(
  spec: ReattachSpec,
  { departed, settleDevices, jobKinds, usb }: Pick<BootHost, 'departed' | 'settleDevices' | 'jobKinds' | 'usb'>,
): Promise<Reattached<QemuGuest>> {
  const saved = (spec.saved as SavedQemu | undefined) ?? unrecorded(spec);
  if (!saved || !isSame(saved.process)) return gone(spec, saved);
  const qmp = await QmpClient.connect(monitorPath(spec.folders), { timeoutMs: patienceMs }).catch(() => undefined);
  if (!qmp && !isSame(saved.process)) return gone(spec, saved);
  const guest = new QemuGuest({
    live: spec.domain,
    folders: spec.folders,
    saved,
    process: adopt(saved.process, qmp),
    qmp,
    sink: spec.sink,
    log: spec.log,
    cleanUp: cleanUpOn({ usb }),
    departed,
    settleDevices,
    jobKinds,
    found: true,
  });
  guest.state = spec.state;
  usb.found(guest.live);
  openConsoles(guest);
  const agent = guest.live.devices.channels.find(({ target }) => target?.name === agentPort);
  guest.agentConnected = agent?.target?.state === 'connected';
  void thaw(guest);
  const status = qmp && (await statusOf(guest));
  if (!status) {
    spec.log.warn('the guest does not answer on its monitor; it is kept as it was last known');
    return { kind: 'alive', guest, state: spec.state };
  }
  const state = stateOf(status, spec.state);
  if (status === 'shutdown') queueMicrotask(() => guest.powerOff('guest', false));
  guest.state = state;
  return { kind: 'alive', guest, state };
}

/** Undefined for a guest that takes our connection and then says nothing. */
async function statusOf(guest: QemuGuest): Promise<RunState | undefined> {
  try {
    return (await guest.ask('query-status', undefined, undefined, patienceMs)).status;
  } catch {
    return undefined;
  }
}

/** We died between the spawn and writing it down: the process can be found by what it was given. */
function unrecorded(spec: ReattachSpec): SavedQemu | undefined {
  const process = findOrphan(spec.uuid, spec.folders.run);
  return process && { process, owners: [] };
}

/** Nobody is left to ask why: what did not tell us that it shut down has crashed. */
async function gone(spec: ReattachSpec, saved: SavedQemu | undefined): Promise<Reattached<QemuGuest>> {
  giveBack(saved?.owners ?? [], spec.log);
  await removeTapsOf(spec.uuid, spec.log);
  if (saved) removeLeftBackup(saved);
  return { kind: 'gone', reason: 'crashed', detail: 'failed' };
}

function openConsoles(guest: QemuGuest): void {
  const { serials, consoles, channels } = guest.live.devices;
  for (const device of [...serials, ...consoles, ...channels]) {
    const alias = device.alias?.name;
    const path = device.sources[0]?.path;
    if (device.type !== 'pty' || !alias || !path || guest.consoles.has(alias)) continue;
    try {
      guest.consoles.set(alias, PtyConsole.open(alias, path));
    } catch (err) {
      guest.log.warn({ err, device: alias }, 'cannot open a console');
    }
  }
}

/** QEMU's run state as a domain state; where the kept state says more, it stays. */
function stateOf(status: RunState, kept: DomainState): DomainState {
  switch (status) {
    case 'running':
      return kept.state === 'running' ? kept : { state: 'running', reason: 'unpaused' };
    case 'inmigrate':
    case 'postmigrate':
    case 'finish-migrate':
      return { state: 'paused', reason: 'migration' };
    case 'io-error':
      return { state: 'paused', reason: 'ioerror' };
    case 'save-vm':
      return { state: 'paused', reason: 'save' };
    case 'watchdog':
      return { state: 'paused', reason: 'watchdog' };
    case 'shutdown':
      return kept;
    case 'guest-panicked':
      return { state: 'crashed', reason: 'panicked' };
    case 'suspended':
      return { state: 'pmsuspended', reason: 'unknown' };
    case 'paused':
    case 'prelaunch':
      return kept.state === 'paused' ? kept : { state: 'paused', reason: 'user' };
    default:
      return kept.state === 'paused' ? kept : { state: 'paused', reason: 'unknown' };
  }
}
