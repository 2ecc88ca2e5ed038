/** Virtual CPUs, plugged one by one into the slots that QEMU offers. */
import type { Facets } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { untilAnswered } from '../until-known';

/** What QEMU has told of its processors is in the document. */
function has(guest: QemuGuest, count: number): void {
  const { current: _former, ...vcpu } = guest.live.vcpu;
  guest.live = { ...guest.live, vcpu: { ...vcpu, ...(count === vcpu.count ? {} : { current: count }) } };
  guest.tellLive();
}

/** Some may have joined, also the one whose answer was lost. Resolves when it was all of them; throws `why` else. */
async function settle(guest: QemuGuest, before: number, wanted: number, why: unknown): Promise<void> {
  let now = before;
  await untilAnswered(guest, async () => {
    const slots = await guest.ask('query-hotpluggable-cpus');
    now = slots.filter((slot) => slot['qom-path'] !== undefined).length;
  });
  if (now === wanted) return;
  if (now !== before) {
    has(guest, now);
    guest.tell({ kind: 'event', class: 'config', type: 'vcpus', data: { count: now, affect: ['live'] }, caused: true });
  }
  throw why;
}

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
    try {
      for (const slot of free.slice(0, missing)) {
        const number = present.length + free.indexOf(slot);
        await guest.ask('device_add', { driver: slot.type, id: `vcpu${number}`, ...slot.props }, signal);
      }
    } catch (error) {
      await settle(guest, present.length, count, error);
    }
    has(guest, count);
  },
};
