/** The guest's consoles: the channels that were opened with it. */
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';

export const console: NonNullable<Facets<QemuGuest>['console']> = {
  channel: (guest, device) => {
    const found = device ? guest.consoles.get(device) : [...guest.consoles.values()][0];
    if (found) return found;
    const known = [...guest.consoles.keys()].join(', ') || 'none';
    const detail = device
      ? `no console device '${device}'; the domain has: ${known}`
      : 'the domain has no console on a terminal; add <serial type="pty"/>';
    throw new VirtError('DEVICE_MISSING', { detail });
  },
};
