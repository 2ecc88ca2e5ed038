/**
 * The whole command line of a guest, in libvirt's order.
 *
 * The domain has been prepared: defaults filled in, addresses and aliases assigned, ports of displays chosen, volumes looked up.
 * Nothing here looks at the host; what has to be opened is named in the result.
 */
import type { Domain } from '../elements/domain';
import { isI440fx, isQ35 } from '../passes/machine';
import { addAudios, addSounds, audioEnvironment } from './audio';
import { addBalloon } from './balloon';
import { numberImages } from './block-chain';
import { reservationHelper } from './blockdev';
import { addChannels, addConsoles, addParallels, addRedirdevs, addSerials, addSmartcards } from './character';
import { addClock, clockEnvironment } from './clock';
import { hasFlag, type CommandLineContext, type Guest, type QemuCommandLine } from './context';
import { addCardReaders, addControllers, addPciHole } from './controller';
import { addCpu } from './cpu';
import { addDisks, isPluggedLater } from './disk';
import { addFilesystems } from './filesystem';
import { addBoot, addFlash, addKernel, addLoader, addPowerManagement } from './firmware';
import { addGraphics, displayEnvironment } from './graphics';
import { addHostdevs } from './hostdev';
import { addInputs } from './input';
import { iothreadObject, iothreadsOf } from './iothreads';
import { addLaunchSecurity } from './launch-security';
import { addAccelerator, addMachine, addNoAcpi } from './machine';
import { addMemory, addVcpus } from './memory';
import { addMemoryDevices } from './memory-device';
import { addMonitor } from './monitor';
import { addInterfaces } from './network';
import { addNuma } from './numa';
import { escapeWord, onOrOff } from './props';
import { addRngs } from './rng';
import { addSandbox } from './sandbox';
import {
  addCryptos,
  addGenerationId,
  addHubs,
  addIommu,
  addPanics,
  addPersistentStore,
  addShmems,
  addVsock,
} from './small-devices';
import { addFirmwareConfiguration, addSmbios } from './smbios';
import { throttleObjects } from './throttle';
import { addTpms } from './tpm';
import { addVideos } from './video';
import { addWatchdogs } from './watchdog';
import { CommandWords } from './words';
import { zpciCompanions } from './zpci';

/** Throws CONFIG_UNSUPPORTED for what this QEMU or this context can not do, by name. */
export function buildCommandLine(domain: Domain, context: CommandLineContext): QemuCommandLine {
  const numbered = numberImages(domain);
  const guest: Guest = { domain: numbered.domain, context };
  const out = new CommandWords(context, zpciCompanions(guest.domain));
  addIdentity(out, guest);
  addReservationHelper(out, guest);
  addFlash(out, guest);
  addMachine(out, guest);
  addAccelerator(out, guest);
  addCpu(out, guest);
  addLoader(out, guest);
  addMemory(out, guest);
  addVcpus(out, guest);
  for (const thread of iothreadsOf(guest.domain)) out.object(iothreadObject(thread));
  out.objects(throttleObjects(guest.domain));
  addNuma(out, guest);
  if (guest.domain.uuid !== undefined) out.add('-uuid', guest.domain.uuid);
  addSmbios(out, guest);
  addFirmwareConfiguration(out, guest);
  addGenerationId(out, guest);
  if (guest.domain.devices.graphics.length === 0) out.add('-display', 'none');
  out.add('-no-user-config', '-nodefaults');
  addMonitor(out, guest);
  addClock(out, guest);
  out.add('-no-shutdown');
  addNoAcpi(out, guest);
  addPowerManagement(out, guest, sleepDevice(guest.domain));
  addBoot(out, guest);
  addKernel(out, guest);
  addIommu(out, guest);
  addPciHole(out, guest);
  addControllers(out, guest);
  addMemoryDevices(out, guest);
  addHubs(out, guest);
  addCardReaders(out, guest);
  const disks = addDisks(out, guest, numbered.filters);
  addFilesystems(out, guest);
  addInterfaces(out, guest);
  addSmartcards(out, guest);
  addSerials(out, guest);
  addParallels(out, guest);
  addChannels(out, guest);
  addConsoles(out, guest);
  addTpms(out, guest);
  addInputs(out, guest);
  addAudios(out, guest);
  addGraphics(out, guest);
  addVideos(out, guest);
  addSounds(out, guest);
  addWatchdogs(out, guest);
  addRedirdevs(out, guest);
  const nextIndex = addHostdevs(out, guest, numbered.next);
  if (context.incoming !== undefined) out.add('-incoming', context.incoming);
  addBalloon(out, guest);
  addRngs(out, guest);
  addLaunchSecurity(out, guest);
  addUserArguments(out, guest);
  addSandbox(out);
  addPanics(out, guest);
  addShmems(out, guest);
  addVsock(out, guest);
  addCryptos(out, guest);
  addPersistentStore(out, guest);
  addAsyncTeardown(out, guest);
  out.add('-msg', 'timestamp=on');
  return {
    args: out.args,
    env: environment(guest),
    descriptors: out.descriptors,
    disks,
    domain: guest.domain,
    pluggedLater: guest.domain.devices.disks.filter(isPluggedLater).map(({ target }) => target.dev ?? ''),
    nextIndex,
  };
}

function addIdentity(out: CommandWords, { domain, context }: Guest): void {
  out.add('-name', `guest=${escapeWord(domain.name)},debug-threads=on`, '-S');
  if (context.masterKey !== undefined)
    out.object({ 'qom-type': 'secret', id: 'masterKey0', format: 'raw', file: context.masterKey });
}

/** One helper for SCSI persistent reservations serves all disks that leave it to the manager. */
function addReservationHelper(out: CommandWords, { domain, context }: Guest): void {
  if (domain.devices.disks.some(({ source }) => source?.reservations?.managed === true))
    out.object(reservationHelper('pr-helper0', `${context.domainDir}/pr-helper0.sock`));
}

/** The memory of a guest that has ended is given back in the background. */
function addAsyncTeardown(out: CommandWords, guest: Guest): void {
  const teardown = guest.domain.features.asyncTeardown;
  if (teardown === undefined) return;
  const enabled = teardown.enabled ?? true;
  if (hasFlag(guest, 'run-with.async-teardown')) out.add('-run-with', `async-teardown=${onOrOff(enabled)}`);
  else if (enabled) out.add('-async-teardown');
}

/** The chip whose properties say which sleep states there are. */
function sleepDevice(domain: Domain): string | undefined {
  return isQ35(domain) ? 'ICH9-LPC' : isI440fx(domain) ? 'PIIX4_PM' : undefined;
}

/** What the user adds to the command line past all checks. */
function addUserArguments(out: CommandWords, { domain }: Guest): void {
  for (const { value } of domain.qemuCommandline?.args ?? []) out.add(value);
}

function environment(guest: Guest): Record<string, string> {
  const { domainDir, environment: inherited } = guest.context;
  return {
    LC_ALL: 'C',
    ...(inherited['PATH'] !== undefined && { PATH: inherited['PATH'] }),
    HOME: domainDir,
    ...(inherited['USER'] !== undefined && { USER: inherited['USER'] }),
    ...(inherited['LOGNAME'] !== undefined && { LOGNAME: inherited['LOGNAME'] }),
    XDG_DATA_HOME: `${domainDir}/.local/share`,
    XDG_CACHE_HOME: `${domainDir}/.cache`,
    XDG_CONFIG_HOME: `${domainDir}/.config`,
    ...audioEnvironment(guest),
    ...clockEnvironment(guest.domain),
    ...displayEnvironment(guest),
    ...Object.fromEntries((guest.domain.qemuCommandline?.envs ?? []).map(({ name, value }) => [name, value ?? ''])),
  };
}
