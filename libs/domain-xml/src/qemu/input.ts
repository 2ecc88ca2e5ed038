/** Mice, keyboards, tablets; the PS/2 ones are part of the machine. */
import type { Input } from '../elements/small-devices';
import { aliasOf, unsupported, type Guest, type ObjectProps } from './context';
import { addressProps } from './device-address';
import { props, type Props } from './props';
import { virtioProps } from './virtio';
import type { CommandWords } from './words';

export function addInputs(out: CommandWords, guest: Guest): void {
  for (const input of guest.domain.devices.inputs) {
    if (input.type === 'evdev') out.object(evdevObject(input));
    else {
      const device = inputProps(guest, input);
      if (device) out.device(device);
    }
  }
}

/** Undefined for a device that the machine brings. */
export function inputProps(guest: Guest, input: Input): Props | undefined {
  switch (input.bus) {
    case 'usb':
      return props({ driver: usbDriver(input), id: aliasOf(input) }, addressProps(guest, input));
    case 'virtio':
      return props(
        virtioProps(virtioName(input), input, input.driver, input.model),
        { id: aliasOf(input), evdev: input.source?.evdev },
        addressProps(guest, input),
      );
    default:
      return undefined;
  }
}

function usbDriver({ type }: Input): string {
  switch (type) {
    case 'mouse':
      return 'usb-mouse';
    case 'tablet':
      return 'usb-tablet';
    case 'keyboard':
      return 'usb-kbd';
    default:
      return unsupported(`an input device of type '${type}' cannot sit on a USB bus`);
  }
}

function virtioName({ type }: Input): string {
  switch (type) {
    case 'passthrough':
      return 'virtio-input-host';
    case 'evdev':
      return unsupported('an evdev input device has no bus');
    default:
      return `virtio-${type}`;
  }
}

/** An input device of the host whose events the guest gets. */
export function evdevObject(input: Input): ObjectProps {
  const { source } = input;
  return props(
    { 'qom-type': 'input-linux', id: aliasOf(input), evdev: source?.dev },
    {
      repeat: source?.repeat,
      grab_all: source?.grab === 'all' ? true : undefined,
      'grab-toggle': source?.grabToggle,
    },
  ) as ObjectProps;
}
