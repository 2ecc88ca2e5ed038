/** After a crash of ours: devices that were joining, changing or leaving in a guest then. */
import {
  addDevice,
  findDevice,
  plugPlan,
  replaceDevice,
  type Device,
  type Disk,
  type Domain,
} from '@virtbus/domain-xml';
import { returnFiles } from '../block-jobs/files';
import type { EventNews } from '@virtbus/driver-runtime';
import { commandLineContext } from '../command-line';
import type { QemuGuest } from '../guest';
import { deviceOf } from '../pending-device';
import { untilKnown } from '../until-known';
import { departed, isPlugged, type DeviceHost } from './devices';
import { settleMedium } from './medium';

/** Resolves when all is in order; waits for a QEMU that does not answer. */
export async function settleDevices(host: DeviceHost, guest: QemuGuest): Promise<void> {
  const { joining, leaving = [] } = guest.saved;
  for (const one of leaving) {
    const left = deviceOf(one);
    if (left) await departed(host, guest, left.device);
    guest.saved.leaving = guest.saved.leaving?.filter((other) => other !== one);
  }
  const joined = joining && deviceOf(joining);
  if (joined && (await untilKnown(guest, () => isPlugged(guest, joining.alias), false))) {
    guest.live = addDevice(guest.live, joined.device);
    tellOf(guest, joined.device, { class: 'device', type: 'added', data: { alias: joining.alias } });
  } else if (joined) {
    await takeAway(host, guest, joined);
    tellOf(guest, joined.device, undefined);
  }
  // Another may join by now.
  if (guest.saved.joining === joining) guest.saved.joining = undefined;
  guest.tellLive();
  await settleChange(host, guest);
}

/** What the drive was to have is held beside what it had: both stay so until it is known. */
async function settleChange(host: DeviceHost, guest: QemuGuest): Promise<void> {
  const { changing } = guest.saved;
  const fresh = changing && deviceOf(changing)?.device;
  if (fresh?.list !== 'disks') return;
  const old = findDevice(guest.live, fresh).value as Disk;
  const isIn = await settleMedium(host, guest, { old, disk: fresh.value });
  if (isIn) guest.live = replaceDevice(guest.live, fresh);
  if (guest.saved.changing === changing) guest.saved.changing = undefined;
  returnFiles(guest);
  tellOf(
    guest,
    fresh,
    isIn ? { class: 'device', type: 'updated', data: { alias: fresh.value.alias?.name } } : undefined,
  );
}

/** What was held for a disk while it came is held for what it stands on from now on. */
function tellOf(guest: QemuGuest, { list, value }: Device, event: EventNews | undefined): void {
  if (list === 'disks') {
    const chains = { [value.target.dev ?? '']: undefined };
    guest.tell({ kind: 'images', chains, definition: (config) => config, ...(event && { event }) });
  } else if (event) guest.tell({ kind: 'event', ...event });
}

/** What had been added for it before the guest was to have it. */
async function takeAway(
  host: DeviceHost,
  guest: QemuGuest,
  { domain, device }: { domain: Domain; device: Device },
): Promise<void> {
  const context = commandLineContext(domain, guest.folders, host, host.capabilitiesOf(guest));
  for (const { undo, command } of [...plugPlan({ domain, context }, device).steps].reverse()) {
    if (command === 'device_add') continue;
    await guest.askRaw(undo.command, undo.arguments).catch((err: unknown) => {
      guest.log.debug({ err }, 'it had not come so far');
    });
  }
}
