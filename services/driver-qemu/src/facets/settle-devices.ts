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
import type { EventType } from '@virtbus/shared';
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
    tellOf(guest, joined.device, 'added');
  } else if (joined) {
    await takeAway(host, guest, joined);
    tellOf(guest, joined.device, 'add-failed');
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
  tellOf(guest, fresh, isIn ? 'updated' : 'update-failed');
}

/** What was held for a disk while it came is held for what it stands on from now on, which whoever holds it hears of by the event. */
function tellOf(guest: QemuGuest, { list, value }: Device, type: EventType<'device'>): void {
  const { alias } = value as { alias?: { name: string } | undefined };
  const event = { class: 'device' as const, type, data: { alias: alias?.name } };
  if (list !== 'disks') return guest.tell({ kind: 'event', ...event });
  guest.tell({
    kind: 'images',
    chains: { [value.target.dev ?? '']: undefined },
    definition: (config) => config,
    event,
  });
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
