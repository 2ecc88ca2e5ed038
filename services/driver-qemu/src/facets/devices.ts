/**
 * Devices joining and leaving a running guest. What is told to QEMU comes from the same code as the command line; what
 * was added for a device that QEMU then refuses is taken away again.
 */
import {
  addDevice,
  afterUnplug,
  copyModel,
  deviceByAlias,
  findDevice,
  plugDevice,
  plugPlan,
  replaceDevice,
  type Device,
  type Interface,
  type PlugStep,
  type QemuCapabilities,
} from '@virtbus/domain-xml';
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError, type ChainDocument } from '@virtbus/shared';
import { returnFiles } from '../block-jobs/files';
import { commandLineContext, type LineHost } from '../command-line';
import { describeChain, filesOfDevice } from '../files';
import type { QemuGuest } from '../guest';
import { numbered } from '../image-numbers';
import { makeTap, removeTap, tunDevice } from '../networks';
import { isRefusal } from '../monitor-failure';
import { pendingDevice } from '../pending-device';
import { giveBack, lend, type RunUser } from '../run-user';
import { takeBack, type Undo } from '../undo';
import { untilAnswered, untilKnown } from '../until-known';
import type { UsbClaims } from '../usb-claims';
import { locateUsb } from '../usb-devices';
import { changeDevice } from './change-device';
import { limitDisk } from './disks';

/** How long a removal waits for the guest before it is answered, milliseconds: libvirt's five seconds. */
const unplugMs = 5_000;

export interface DeviceHost extends LineHost {
  capabilitiesOf(guest: QemuGuest): QemuCapabilities;
  user: RunUser | undefined;
  usb: UsbClaims;
}

export function devicesFacet(host: DeviceHost): NonNullable<Facets<QemuGuest>['devices']> {
  return {
    attach: (guest, device, signal, chain) => attach(host, guest, found(withImages(device, chain)), signal),
    detach: (guest, device, signal) => detach(guest, device, signal),
    update: async (guest, asked, signal, chain) => {
      const old = findDevice(guest.live, asked);
      refuseBusy(guest, old);
      const now = await changeDevice(host, guest, old, withImages(asked, chain), signal);
      guest.live = replaceDevice(guest.live, now);
      guest.saved.changing = undefined;
      returnFiles(guest);
      guest.tellLive();
      guest.tell({ kind: 'event', class: 'device', type: 'updated', data: { alias: aliasOf(old) }, caused: true });
      return findDevice(guest.live, asked);
    },
  };
}

/** A disk with all that it stands on; other devices as they are. */
const withImages = (device: Device, chain: ChainDocument | undefined): Device =>
  device.list === 'disks' ? { list: 'disks', value: describeChain(device.value, chain) } : device;

/** A USB device of the host as it is plugged in there; other devices as they are. */
const found = (device: Device): Device =>
  device.list === 'hostdevs' ? { list: 'hostdevs', value: locateUsb(device.value) } : device;

/** Its images get numbers that none has had in this run. */
const withNumbers = (guest: QemuGuest, device: Device): Device =>
  device.list === 'disks' ? { list: 'disks', value: numbered(guest, device.value) } : device;

async function attach(host: DeviceHost, guest: QemuGuest, asked: Device, signal: AbortSignal): Promise<Device> {
  const capabilities = host.capabilitiesOf(guest);
  const fresh = { ...asked, value: copyModel(asked.value) } as Device;
  const { domain, device } = plugDevice(guest.live, fresh, capabilities);
  const alias = aliasOf(device);
  const undo: Undo = [];
  let refusal: VirtError | undefined;
  try {
    await prepareOnHost(host, guest, device, undo);
    const context = commandLineContext(domain, guest.folders, host, capabilities);
    const plan = plugPlan({ domain, context }, withNumbers(guest, device));
    const joined = findDevice(plan.domain, device);
    guest.saved.joining = pendingDevice(addDevice(guest.live, joined), alias);
    guest.tellSaved();
    for (const step of plan.steps) await plug(guest, alias, step, signal, undo);
    refusal = await refusedLimits(guest, device);
    // The document may have changed meanwhile: a block job has ended.
    guest.live = addDevice(guest.live, refusal ? withoutLimits(joined) : joined);
    guest.saved.joining = undefined;
  } catch (thrown) {
    await takeBack(undo, guest.log);
    guest.saved.joining = undefined;
    guest.tellSaved();
    throw VirtError.from(thrown);
  }
  guest.tellLive();
  guest.tell({ kind: 'event', class: 'device', type: 'added', data: { alias }, caused: true });
  if (refusal) await leave(guest, alias, refusal);
  return device;
}

/** QEMU's words where it refuses the limits of a disk that the guest has by now. */
async function refusedLimits(guest: QemuGuest, { list, value }: Device): Promise<VirtError | undefined> {
  try {
    if (list === 'disks') await limitDisk(guest, value);
    return undefined;
  } catch (error) {
    if (isRefusal(error)) return error as VirtError;
    throw error;
  }
}

function withoutLimits(device: Device): Device {
  return device.list === 'disks' ? { list: 'disks', value: { ...device.value, iotune: undefined } } : device;
}

/** A disk that the guest has is not to stay; it does where the guest does not let go of it. */
async function leave(guest: QemuGuest, alias: string, why: VirtError): Promise<never> {
  await unplug(guest, alias).catch((err: unknown) => guest.log.warn({ err, alias }, 'a disk cannot be taken away'));
  const left = deviceByAlias(guest.live, alias);
  if (left?.list !== 'disks') throw why;
  const name = left.value.target.dev ?? alias;
  const detail = `the guest has disk '${name}' without its limits, and has not let go of it; detach it, or limit it: ${why.message}`;
  throw new VirtError('OPERATION_FAILED', { detail }, { cause: why });
}

/** What QEMU has not refused may have been done, whatever became of its answer. */
async function plug(
  guest: QemuGuest,
  alias: string,
  { command, ...step }: PlugStep,
  signal: AbortSignal,
  undo: Undo,
): Promise<void> {
  // With that undone nobody may let go of what the guest has open.
  const back = (): Promise<boolean> => untilAnswered(guest, () => guest.askRaw(step.undo.command, step.undo.arguments));
  try {
    await guest.askRaw(command, step.arguments, signal);
    if (command !== 'device_add') undo.push(back);
  } catch (error) {
    if (isRefusal(error)) throw error;
    if (command !== 'device_add') undo.push(back);
    // The guest has it, and only the guest could let go of it: it has been attached.
    else if (await untilKnown(guest, () => isPlugged(guest, alias), false)) return;
    throw error;
  }
}

export async function isPlugged(guest: QemuGuest, alias: string): Promise<boolean> {
  const devices = await guest.ask('qom-list', { path: '/machine/peripheral' });
  return devices.some(({ name }) => name === alias);
}

/** A device has left: its backend goes, its tap, its claim, and its files return to their owners. */
export async function departed(host: DeviceHost, guest: QemuGuest, device: Device): Promise<void> {
  const context = commandLineContext(guest.live, guest.folders, host, host.capabilitiesOf(guest));
  for (const { command, arguments: args } of afterUnplug({ domain: guest.live, context }, device)) {
    try {
      await untilAnswered(guest, () => guest.askRaw(command, args));
    } catch (err) {
      guest.log.warn({ err, alias: aliasOf(device) }, 'what stood behind a device is not taken away');
    }
  }
  if (device.list === 'interfaces') await removeTap(device.value);
  if (device.list === 'hostdevs') host.usb.giveBack(device.value);
  if (device.list !== 'disks' && device.list !== 'hostdevs') return;
  const paths = new Set(filesOfDevice(device).map(({ path }) => path));
  const mine = guest.saved.owners.filter(({ path }) => paths.has(path));
  giveBack(mine, guest.log);
  guest.saved.owners = guest.saved.owners.filter((owner) => !mine.includes(owner));
  guest.tellLive();
}

/** A USB device claimed, files lent to the guest's user, the tap of an interface. */
async function prepareOnHost(host: DeviceHost, guest: QemuGuest, device: Device, undo: Undo): Promise<void> {
  if (device.list === 'hostdevs') {
    host.usb.take(guest.live, [device.value]);
    undo.push(() => host.usb.giveBack(device.value));
  }
  lendFiles(host, guest, device, undo);
  if (device.list === 'interfaces') await plugTap(host, guest, device.value, undo);
}

function lendFiles(host: DeviceHost, guest: QemuGuest, device: Device, undo: Undo): void {
  for (const { path, need } of filesOfDevice(device)) {
    const owner = lend(path, host.user, need);
    if (!owner) continue;
    guest.saved.owners.push(owner);
    undo.push(() => {
      guest.saved.owners.splice(guest.saved.owners.indexOf(owner), 1);
      giveBack([owner], guest.log);
    });
  }
}

async function plugTap(host: DeviceHost, guest: QemuGuest, network: Interface, undo: Undo): Promise<void> {
  if (!(await makeTap(network, guest.live.uuid!, host.user))) return;
  undo.push(() => removeTap(network));
  const owner = lend(tunDevice, host.user, 'write');
  if (owner) guest.saved.owners.push(owner);
}

async function detach(guest: QemuGuest, asked: Device, signal: AbortSignal): Promise<Device> {
  const device = findDevice(guest.live, asked);
  refuseBusy(guest, device);
  const alias = aliasOf(device);
  await unplug(guest, alias, signal);
  return device;
}

/** Resolves when the device has left; or after a while: the guest may take its time or refuse, which the event tells. */
async function unplug(guest: QemuGuest, alias: string, signal?: AbortSignal): Promise<void> {
  const late = AbortSignal.timeout(unplugMs);
  const departure = guest.departures.of(alias, signal ? AbortSignal.any([signal, late]) : late);
  departure.catch(() => undefined);
  await guest.ask('device_del', { id: alias }, signal);
  await departure.catch(() => undefined);
}

/** A disk with a job stays as it is until that has ended. */
function refuseBusy(guest: QemuGuest, device: Device): void {
  if (device.list === 'disks') guest.blockJobs.refuseBusy(device.value.target.dev ?? '');
}

function aliasOf(device: Device): string {
  const alias = (device.value as { alias?: { name: string } | undefined }).alias?.name;
  if (alias === undefined)
    throw new VirtError('OPERATION_UNSUPPORTED', { detail: 'the device has no name in this guest' });
  return alias;
}
