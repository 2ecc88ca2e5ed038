/**
 * What follows a reboot from inside: liblxc has booted what it read at the start, in cgroups made anew, and the container is made
 * what its document says again. What has left is taken away before what joined is brought: that may have its place and its name.
 */
import { allDevices, deviceByAlias, parseDevice, type Device } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { aliasOf, isThere, leaveJoining, lose, plug, unplug } from './facets/devices';
import { holdAgain } from './facets/limits';
import type { LxcGuest } from './guest';
import { freeEnd, isInside } from './links';
import type { Machine } from './machine';

/** What cannot be done is told or logged, and the rest is done. May be repeated. */
export async function afterReboot(guest: LxcGuest, machine: Machine): Promise<void> {
  const { boots } = guest.saved;
  await leaveJoining(guest, machine);
  holdAgain(guest, machine);
  for (const device of hasLeft(guest)) {
    await unplug(guest, device, machine).catch((err: unknown) =>
      guest.log.warn({ err, alias: aliasOf(device) }, 'a device that has left cannot be taken away after a reboot'),
    );
  }
  for (const device of allDevices(guest.live)) {
    if (!guest.saved.plugged.includes(aliasOf(device))) continue;
    await bringAgain(guest, device, machine).catch((err: unknown) => {
      guest.log.warn({ err, alias: aliasOf(device) }, 'a device cannot be plugged again after a reboot');
      // What goes down or boots once more lacks more than this: it is seen to then. Its log may be ahead of us.
      guest.readLog();
      if (guest.saved.boots === boots && guest.isUp) lose(guest, device, VirtError.from(err).message);
    });
  }
}

/** One that its document has under its name has not left, unless it is another, which joined. */
function hasLeft({ live, saved }: LxcGuest): Device[] {
  const left = (saved.left ?? []).map((xml) => parseDevice(xml));
  return left.filter((device) => {
    const alias = aliasOf(device);
    return saved.plugged.includes(alias) || !deviceByAlias(live, alias);
  });
}

/** A driver that died over it had come so far. */
async function bringAgain(guest: LxcGuest, device: Device, machine: Machine): Promise<void> {
  if (device.list === 'interfaces') {
    if (await isInside(guest.initPid, device.value)) return;
    await freeEnd(device.value);
  } else if (await isThere(guest, device)) return;
  await plug(guest, device, machine);
}
