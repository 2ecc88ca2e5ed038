/** Memory of a running guest: its balloon. */
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';

export const memory: NonNullable<Facets<QemuGuest>['memory']> = {
  set: async (guest, kib, signal) => {
    if ((guest.live.devices.memballoon?.model ?? 'none') === 'none') {
      throw new VirtError('OPERATION_INVALID', {
        detail: 'Unable to change memory of active domain without the balloon device',
      });
    }
    await guest.ask('balloon', { value: kib * 1024 }, signal);
  },
};
