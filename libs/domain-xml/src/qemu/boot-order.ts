/** The order in which the firmware tries devices: from `<boot dev=…/>` in `<os>` or from each device's own `<boot order=…/>`. */
import type { Domain } from '../elements/domain';
import { hasFlag, type Guest } from './context';
import { nonZero, type LooseProps } from './props';

interface Bootable {
  boot?: { order: number; loadparm?: string | undefined } | undefined;
}

const computed = new WeakMap<Domain, ReadonlyMap<Bootable, number>>();

/** The device's `bootindex`; undefined when it is not booted from. */
export function bootIndex(domain: Domain, device: Bootable): number | undefined {
  let order = computed.get(domain);
  if (order === undefined) {
    order = bootOrder(domain);
    computed.set(domain, order);
  }
  return domain.os.boot.length > 0 ? order.get(device) : device.boot?.order;
}

function bootOrder({ os, devices }: Domain): ReadonlyMap<Bootable, number> {
  const order = new Map<Bootable, number>();
  os.boot.forEach(({ dev }, index) => {
    const first: Bootable | undefined =
      dev === 'network'
        ? devices.interfaces[0]
        : devices.disks.find(
            ({ device }) =>
              device === (dev === 'cdrom' ? 'cdrom' : dev === 'fd' ? 'floppy' : 'disk') ||
              (dev === 'hd' && device === 'lun'),
          );
    if (first && !order.has(first)) order.set(first, index + 1);
  });
  return order;
}

/** `bootindex`, and what the boot loader of a mainframe shall choose. */
export function bootProps(guest: Guest, device: Bootable): LooseProps {
  return {
    bootindex: nonZero(bootIndex(guest.domain, device)),
    loadparm: hasFlag(guest, 'virtio-ccw.loadparm') ? device.boot?.loadparm : undefined,
  };
}
