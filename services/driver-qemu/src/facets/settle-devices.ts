/** After a crash of ours: devices that were joining or leaving a guest then. */
import { addDevice, plugPlan, type Device, type Domain } from '@virtbus/domain-xml';
import { commandLineContext } from '../command-line';
import type { QemuGuest } from '../guest';
import { deviceOf } from '../pending-device';
import { untilKnown } from '../until-known';
import { departed, isPlugged, type DeviceHost } from './devices';

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
    guest.tell({ kind: 'event', class: 'device', type: 'added', data: { alias: joining.alias } });
  } else if (joined) await takeAway(host, guest, joined);
  // Another may join by now.
  if (guest.saved.joining === joining) guest.saved.joining = undefined;
  guest.tellLive();
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
