/** Virtual CPUs, plugged one by one into the slots that QEMU offers. */
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';

export const vcpus: NonNullable<Facets<QemuGuest>['vcpus']> = {
  set: async (guest, count, signal) => {
    const slots = await guest.ask('query-hotpluggable-cpus', undefined, signal);
    const present = slots.filter((slot) => slot['qom-path'] !== undefined);
    const missing = count - present.length;
    if (missing < 0) {
      throw new VirtError('OPERATION_UNSUPPORTED', {
        detail: 'virtual CPUs of a running guest can be added, not taken away',
      });
    }
    // QEMU lists the slots last first; guests expect them filled in order.
    const free = slots.filter((slot) => slot['qom-path'] === undefined).reverse();
    if (missing > free.length) {
      throw new VirtError('OPERATION_INVALID', {
        detail: `only ${present.length + free.length} virtual CPUs have a slot`,
      });
    }
    for (const slot of free.slice(0, missing)) {
      const number = present.length + free.indexOf(slot);
      await guest.ask('device_add', { driver: slot.type, id: `vcpu${number}`, ...slot.props }, signal);
    }
    guest.live = { ...guest.live, vcpu: { ...guest.live.vcpu, current: count } };
    if (count === guest.live.vcpu.count) delete guest.live.vcpu.current;
    guest.tellLive();
  },
};
