/** Serial and parallel ports, channels, consoles, smartcards and redirected USB devices. */
import type { Channel, Console, Parallel, Redirdev, Serial, Smartcard } from '../elements/chardev';
import type { DeviceInfo } from '../elements/device-info';
import { bootProps } from './boot-order';
import { addBackend, type BackendOptions } from './character-backend';
import { aliasOf, unsupported, type Guest } from './context';
import { addressProps } from './device-address';
import { props, type Props } from './props';
import type { CommandWords } from './words';

/** The chardev of a character device. */
export const chardevId = (device: DeviceInfo): string => `char${aliasOf(device)}`;

const backendOptions = (device: DeviceInfo): BackendOptions => ({ id: chardevId(device), alias: aliasOf(device) });

export function addSerials(out: CommandWords, guest: Guest): void {
  for (const serial of guest.domain.devices.serials) {
    if (serial.type === 'spiceport' && !hasSpice(guest)) continue;
    addBackend(out, guest, serial, backendOptions(serial));
    if (isBoardSerial(serial)) out.add('-serial', `chardev:${chardevId(serial)}`);
    else out.device(serialProps(guest, serial));
  }
}

const hasSpice = ({ domain }: Guest): boolean => domain.devices.graphics.some(({ type }) => type === 'spice');

/** The board brings the port; it can only be filled. */
const isBoardSerial = ({ target }: Serial): boolean =>
  target?.type === 'system-serial' || target?.model?.name === 'pl011';

const serialDrivers: Readonly<Record<string, string>> = {
  'isa-serial': 'isa-serial',
  '16550a': 'isa-serial',
  'usb-serial': 'usb-serial',
  'pci-serial': 'pci-serial',
  'spapr-vty': 'spapr-vty',
  sclpconsole: 'sclpconsole',
  sclplmconsole: 'sclplmconsole',
  'isa-debugcon': 'isa-debugcon',
};

export function serialProps(guest: Guest, serial: Serial): Props {
  const model = serial.target?.model?.name ?? serial.target?.type ?? 'isa-serial';
  const driver = serialDrivers[model] ?? unsupported(`serial port model '${model}' is not supported`);
  return props(
    {
      driver,
      chardev: chardevId(serial),
      id: aliasOf(serial),
      index: driver === 'isa-serial' ? serial.target?.port : undefined,
    },
    addressProps(guest, serial),
  );
}

export function addParallels(out: CommandWords, guest: Guest): void {
  for (const parallel of guest.domain.devices.parallels) {
    addBackend(out, guest, parallel, { ...backendOptions(parallel), isParallel: true });
    out.device(parallelProps(guest, parallel));
  }
}

export const parallelProps = (guest: Guest, parallel: Parallel): Props =>
  props({ driver: 'isa-parallel', chardev: chardevId(parallel), id: aliasOf(parallel) }, addressProps(guest, parallel));

export function addChannels(out: CommandWords, guest: Guest): void {
  for (const channel of guest.domain.devices.channels) {
    addBackend(out, guest, channel, channelBackend(channel));
    if (channel.target?.type === 'guestfwd') out.netdev(forwardProps(channel));
    else out.device(channelProps(guest, channel));
  }
}

export const channelBackend = (channel: Channel): BackendOptions => ({ ...backendOptions(channel), name: 'vdagent' });

/** The guest's TCP connections to one address of the user network end in the channel. */
export function forwardProps(channel: Channel): Props {
  const { address = '', port = '' } = channel.target ?? {};
  return {
    type: 'user',
    guestfwd: [{ str: `tcp:${address}:${port}-chardev:${chardevId(channel)}` }],
    id: aliasOf(channel),
  };
}

const spiceAgent = 'com.redhat.spice.0';

export function channelProps(guest: Guest, channel: Channel): Props {
  const { type, target } = channel;
  const address = addressProps(guest, channel);
  return props(
    { driver: 'virtserialport', ...address },
    {
      chardev: chardevId(channel),
      id: aliasOf(channel),
      name: type === 'spicevmc' && target?.name === undefined ? spiceAgent : target?.name,
    },
  );
}

export function addConsoles(out: CommandWords, guest: Guest): void {
  for (const console of guest.domain.devices.consoles) {
    const kind = console.target?.type;
    if (kind === 'serial' || kind === undefined) continue;
    addBackend(out, guest, console, backendOptions(console));
    out.device(consoleProps(guest, console));
  }
}

export function consoleProps(guest: Guest, console: Console): Props {
  const names = { chardev: chardevId(console), id: aliasOf(console) };
  switch (console.target?.type) {
    case 'virtio':
      return props({ driver: 'virtconsole', ...addressProps(guest, console) }, names);
    case 'sclp':
      return props({ driver: 'sclpconsole', ...names });
    case 'sclplm':
      return props({ driver: 'sclplmconsole', ...names });
    default:
      return unsupported(`unsupported console target type '${console.target?.type ?? 'none'}'`);
  }
}

const defaultCertificates = '/etc/pki/nssdb';

export function addSmartcards(out: CommandWords, guest: Guest): void {
  for (const smartcard of guest.domain.devices.smartcards) {
    if (smartcard.mode === 'passthrough')
      addBackend(out, guest, smartcard, { ...backendOptions(smartcard), name: 'smartcard' });
    out.device(smartcardProps(guest, smartcard));
  }
}

export function smartcardProps(guest: Guest, smartcard: Smartcard): Props {
  const place = { id: aliasOf(smartcard), ...addressProps(guest, smartcard) };
  switch (smartcard.mode) {
    case 'host':
      return props({ driver: 'ccid-card-emulated', backend: 'nss-emulated', ...place });
    case 'host-certificates': {
      const [cert1, cert2, cert3] = smartcard.certificates;
      return props({
        driver: 'ccid-card-emulated',
        backend: 'certificates',
        cert1,
        cert2,
        cert3,
        db: smartcard.database ?? defaultCertificates,
        ...place,
      });
    }
    case 'passthrough':
      return props({ driver: 'ccid-card-passthru', chardev: chardevId(smartcard), ...place });
  }
}

export function addRedirdevs(out: CommandWords, guest: Guest): void {
  for (const redirdev of guest.domain.devices.redirdevs) {
    addBackend(out, guest, redirdev, redirdevBackend(redirdev));
    out.device(redirdevProps(guest, redirdev));
  }
}

export const redirdevBackend = (redirdev: Redirdev): BackendOptions => ({
  ...backendOptions(redirdev),
  name: 'usbredir',
});

export function redirdevProps(guest: Guest, redirdev: Redirdev): Props {
  return props(
    {
      driver: 'usb-redir',
      chardev: chardevId(redirdev),
      id: aliasOf(redirdev),
      filter: redirectionFilter(guest),
      ...bootProps(guest, redirdev),
    },
    addressProps(guest, redirdev),
  );
}

function redirectionFilter({ domain }: Guest): string | undefined {
  return domain.devices.redirfilter?.usbdevs
    .map(({ class: kind, vendor, product, version, allow }) => {
      const number = (value: number | undefined, digits: number) =>
        value === undefined || value < 0 ? '-1' : `0x${value.toString(16).toUpperCase().padStart(digits, '0')}`;
      return `${number(kind, 2)}:${number(vendor, 4)}:${number(product, 4)}:${bcdVersion(version)}:${allow ? 1 : 0}`;
    })
    .join('|');
}

/** `1.10` is 0x0110: one byte of decimal digits before the point, one after. */
function bcdVersion(version: string | undefined): string {
  if (version === undefined || version === '-1') return '-1';
  const [major = '0', minor = '0'] = version.split('.');
  return `0x${major.padStart(2, '0')}${minor.padStart(2, '0')}`;
}
