/**
 * What can be changed of a device while the guest runs: the medium of a drive, the link of a network card, a password.
 * Gives the device as it is then.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Device, Graphics, Interface } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import type { DeviceHost } from './devices';
import { changeMedium } from './medium';

export async function changeDevice(
  host: DeviceHost,
  guest: QemuGuest,
  old: Device,
  asked: Device,
  signal: AbortSignal,
): Promise<Device> {
  if (old.list === 'disks' && asked.list === 'disks') {
    return { list: 'disks', value: await changeMedium(host, guest, old.value, asked.value, signal) };
  }
  if (old.list === 'interfaces' && asked.list === 'interfaces') {
    return { list: 'interfaces', value: await changeLink(guest, old.value, asked.value, signal) };
  }
  if (old.list === 'graphics' && asked.list === 'graphics') {
    await changePassword(guest, old.value, asked.value, signal);
    return asked;
  }
  throw new VirtError('OPERATION_UNSUPPORTED', {
    detail: 'a device of this kind cannot be changed while the guest runs',
  });
}

/** What is left out stays as it is; the name of its tap is the host's to give. */
async function changeLink(guest: QemuGuest, old: Interface, asked: Interface, signal: AbortSignal): Promise<Interface> {
  const rest = ({ link: _link, ...other }: Interface): object => other;
  const { alias, address, target } = old;
  const now = { ...old, ...asked, alias, address, target, link: asked.link };
  if (!isDeepStrictEqual(rest(now), rest(old))) {
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: 'only the link state of an interface can be changed while the guest runs',
    });
  }
  await guest.ask('set_link', { name: old.alias!.name, up: asked.link?.state !== 'down' }, signal);
  return now;
}

async function changePassword(guest: QemuGuest, old: Graphics, asked: Graphics, signal: AbortSignal): Promise<void> {
  if (old.type !== 'vnc' || asked.type !== 'vnc' || asked.passwd === undefined) {
    throw new VirtError('OPERATION_UNSUPPORTED', {
      detail: 'only the password of a VNC display can be changed while the guest runs',
    });
  }
  await guest.askRaw('set_password', { protocol: 'vnc', password: asked.passwd }, signal);
}
