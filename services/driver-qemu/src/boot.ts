/**
 * From a definition to a QEMU that is built and paused: files lent, command line made, process launched, terminals
 * opened. Whatever fails, nothing of it is left.
 */
import { open } from 'node:fs/promises';
import { buildCommandLine, copyModel, requireFirmware, type Domain, type QemuCapabilities } from '@virtbus/domain-xml';
import type { Snapshot } from '@virtbus/domain-xml/snapshot';
import type { StartSpec } from '@virtbus/driver-runtime';
import { isVirtError, VirtError } from '@virtbus/shared';
import { makeFolder } from '@virtbus/shared/files';
import { chownSync } from 'node:fs';
import { removeLeftBackup } from './backup/kind';
import { maskFlag } from './block-jobs';
import { commandLineContext } from './command-line';
import { applyLimits } from './facets/disks';
import { describeChains, neededFiles } from './files';
import { installedFirmware } from './firmware';
import type { GuestCgroup } from './guest-cgroup';
import { monitorPath, QemuGuest, type GuestParts } from './guest';
import { makeLive } from './live';
import { makeTaps, removeTaps } from './networks';
import { prepareNvram } from './nvram';
import { FIRST_INHERITED_FD, LaunchError, launch, restoreMemory, skipTo, terminate, type Launched } from './process';
import { PtyConsole } from './pty-console';
import { giveBack, lend, type Owned, type RunUser } from './run-user';
import { readSaveImage } from './save-image';
import type { SavedQemu } from './saved-guest';
import type { UsbClaims } from './usb-claims';
import { withUsbDevices } from './usb-devices';

export interface BootHost {
  capabilities: QemuCapabilities;
  user: RunUser | undefined;
  sandbox: boolean;
  /** Guests run there; beside us when left out. */
  cgroup: GuestCgroup | undefined;
  usb: UsbClaims;
  departed: GuestParts['departed'];
  settleDevices: GuestParts['settleDevices'];
  jobKinds: GuestParts['jobKinds'];
  /** Give a guest that waits the memory that a snapshot keeps within its disks. */
  load: (guest: QemuGuest, snapshot: Snapshot, signal: AbortSignal) => Promise<void>;
}

/** Waits for a guest that another host sends. */
export type BootSpec = StartSpec & { incoming?: boolean };

export async function bootGuest(spec: BootSpec, host: BootHost): Promise<QemuGuest> {
  const { folders, signal, log } = spec;
  requireFirmware(spec.domain, installedFirmware());
  const made = await makeLive(spec.domain, spec.id, folders, host.capabilities);
  let live = describeChains(withUsbDevices(made, spec.restore ? 'restore' : 'boot'), spec.chains);
  const saved: SavedQemu = {
    process: { pid: 0, startTime: 0, exe: '' },
    owners: [],
    masksProtocol: host.capabilities.flags.has(maskFlag),
  };
  let launched: Launched | undefined;
  let image: Awaited<ReturnType<typeof open>> | undefined;
  try {
    host.usb.take(live, live.devices.hostdevs);
    makeFolder(folders.run, 0o700);
    if (host.user) chownSync(folders.run, host.user.uid, host.user.gid);
    prepareNvram(live, host.user);
    saved.owners = lendFiles(live, host.user);
    live = await makeTaps(live, host.user);
    const restored = spec.restore;
    if (restored && 'path' in restored) image = await openAtStream(restored.path);
    const line = buildCommandLine(live, {
      ...commandLineContext(live, folders, host, host.capabilities),
      ...(image || spec.incoming ? { incoming: 'defer' } : {}),
    });
    live = line.domain;
    saved.nextIndex = line.nextIndex;
    launched = await launch({
      emulator: host.capabilities.emulator,
      args: line.args,
      directory: folders.run,
      env: line.env,
      monitorPath: monitorPath(folders),
      logPath: folders.log,
      ...(image ? { inherit: [image.fd] } : {}),
      ...(host.user ? { user: host.user } : {}),
      signal,
      onSpawned: (identity) => {
        // An emulator that is a wrapper script becomes QEMU in a moment.
        saved.process = { ...identity, exe: '' };
        host.cgroup?.admit(identity.pid);
        spec.onSpawned(saved, live);
      },
    });
    saved.process = launched.process.identity;
    const guest = new QemuGuest({
      live,
      folders,
      saved,
      ...launched,
      sink: spec.sink,
      log,
      cleanUp: cleanUpOn(host),
      departed: host.departed,
      settleDevices: host.settleDevices,
      jobKinds: host.jobKinds,
    });
    if (image) {
      const { lastWords } = launched;
      await restoreMemory(launched.qmp, { inheritedFd: FIRST_INHERITED_FD }, { lastWords, signal });
    }
    if (restored && 'snapshot' in restored) await host.load(guest, restored.snapshot, signal);
    await settle(guest, signal);
    return guest;
  } catch (thrown) {
    if (launched) await endHalfBorn(launched);
    giveBack(saved.owners, log);
    host.usb.giveBackAll(live);
    await removeTaps(live, log);
    signal.throwIfAborted();
    throw startError(thrown);
  } finally {
    await image?.close();
  }
}

/** The guest's files go back to their owners, its taps are removed. */
export const cleanUpOn =
  ({ usb }: Pick<BootHost, 'usb'>) =>
  async (guest: QemuGuest): Promise<void> => {
    giveBack(guest.saved.owners, guest.log);
    usb.giveBackAll(guest.live);
    removeLeftBackup(guest.saved);
    await removeTaps(guest.live, guest.log);
  };

function lendFiles(live: Domain, user: RunUser | undefined): Owned[] {
  const owners: Owned[] = [];
  for (const { path, need } of neededFiles(live)) {
    const owner = lend(path, user, need);
    if (owner) owners.push(owner);
  }
  return owners;
}

/** What only a running QEMU can tell: the names of terminals. They are held open from now on. */
async function settle(guest: QemuGuest, signal: AbortSignal): Promise<void> {
  if (onTerminals(guest.live).length > 0) await openTerminals(guest, signal);
  const { on_reboot, on_poweroff, currentMemory, memory, devices } = guest.live;
  if (on_reboot === 'destroy' && on_poweroff !== 'restart') {
    await guest.ask('set-action', { reboot: 'shutdown' }, signal);
  }
  for (const disk of devices.disks) await applyLimits(guest, disk, signal);
  const balloon = (devices.memballoon?.model ?? 'none') !== 'none';
  if (balloon && currentMemory !== undefined && currentMemory < memory.kib) {
    await guest.ask('balloon', { value: currentMemory * 1024 }, signal);
  }
}

const onTerminals = ({ devices }: Domain) =>
  [...devices.serials, ...devices.consoles, ...devices.channels].filter(({ type }) => type === 'pty');

async function openTerminals(guest: QemuGuest, signal: AbortSignal): Promise<void> {
  const chardevs = await guest.ask('query-chardev', undefined, signal);
  const terminals = new Map(
    chardevs.flatMap(({ label, filename }) =>
      filename.startsWith('pty:') ? [[label, filename.slice(4)] as const] : [],
    ),
  );
  const live = copyModel(guest.live);
  for (const device of onTerminals(live)) {
    const alias = device.alias?.name ?? '';
    const path = terminals.get(`char${alias}`);
    if (path === undefined) continue;
    device.sources = [{ seclabels: [], ...device.sources[0], path }];
    if (!guest.consoles.has(alias)) guest.consoles.set(alias, PtyConsole.open(alias, path));
  }
  guest.live = live;
}

/** The image's own position stands at QEMU's stream, which the child inherits. */
async function openAtStream(path: string): Promise<Awaited<ReturnType<typeof open>>> {
  const { streamStart } = await readSaveImage(path);
  const file = await open(path, 'r');
  await skipTo(file, streamStart);
  return file;
}

/** One that the kernel holds is waited for: what it has open is nobody else's until it is gone. */
async function endHalfBorn({ process, qmp }: Launched): Promise<void> {
  await terminate(process, { escalateAfterMs: 500 }).catch(() => process.exited);
  qmp.close();
}

function startError(thrown: unknown): VirtError {
  if (isVirtError(thrown)) return thrown;
  if (thrown instanceof LaunchError)
    return new VirtError('OPERATION_FAILED', { detail: thrown.message }, { cause: thrown });
  return new VirtError('OPERATION_FAILED', { detail: (thrown as Error).message }, { cause: thrown });
}
