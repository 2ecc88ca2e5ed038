/** The other devices: input, random numbers, balloon, watchdog, panic, shared folders, host devices, IOMMU. */
import { chardev } from './character';
import { peek, type Attempt, type DeviceSketch, type Draft } from './draft';
import { NotUnderstood } from './not-understood';
import type { Places } from './places';
import { addTimer } from './timers';
import { Values } from './values';
import { optional, virtioDriver, virtioName } from './virtio';

interface Device {
  readonly draft: Draft;
  readonly places: Places;
  readonly attempt: Attempt;
  readonly values: Values;
  readonly model: 'virtio' | 'virtio-transitional' | 'virtio-non-transitional';
}
type Reader = (device: Device) => () => void;

const input =
  (type: 'mouse' | 'tablet' | 'keyboard', bus: 'usb' | 'virtio'): Reader =>
  ({ draft, places, values }) => {
    const place = bus === 'usb' ? places.usb(values) : { ...virtioDriver(values), ...places.address(values) };
    return () => draft.add('inputs', { type, bus, ...place });
  };

const rng: Reader = ({ draft, places, attempt, values, model }) => {
  const source = attempt.backend('-object', values.take('rng') ?? '');
  const kind = source.take('qom-type');
  const [bytes, period] = [values.takeNumber('max-bytes'), values.takeNumber('period')];
  if (kind !== 'rng-random' && kind !== 'rng-builtin') throw new NotUnderstood(`${kind} has no place in a document`);
  const backend =
    kind === 'rng-builtin'
      ? { model: 'builtin' as const }
      : { model: 'random' as const, path: source.take('filename') ?? '/dev/urandom' };
  const device = {
    model,
    backend,
    ...(bytes !== undefined && { rate: { bytes, ...optional('period', period) } }),
    ...virtioDriver(values),
    ...places.address(values),
  };
  return () => draft.add('rngs', device);
};

const balloon: Reader = ({ draft, places, values, model }) => {
  const device = {
    model,
    ...optional('autodeflate', values.takeFlag('deflate-on-oom')),
    ...optional('freePageReporting', values.takeFlag('free-page-reporting')),
    ...virtioDriver(values),
    ...places.address(values),
  };
  return () => void (draft.domain.devices.memballoon = device);
};

const watchdog =
  (kind: 'i6300esb' | 'ib700'): Reader =>
  ({ draft, places, values }) => {
    const place = kind === 'ib700' ? {} : places.address(values);
    return () => draft.add('watchdogs', { model: kind, ...place });
  };

const panic =
  (model: 'isa' | 'pvpanic'): Reader =>
  ({ draft, places, values }) => {
    const iobase = values.takeNumber('ioport');
    const place =
      model === 'pvpanic'
        ? places.address(values)
        : iobase === undefined
          ? {}
          : { address: { type: 'isa' as const, iobase } };
    return () => draft.add('panics', { model, ...place });
  };

const securityModels: Readonly<Record<string, 'passthrough' | 'mapped' | 'squash'>> = {
  passthrough: 'passthrough',
  mapped: 'mapped',
  'mapped-xattr': 'mapped',
  none: 'squash',
};

/** What `-fsdev` and `-virtfs` say of a folder. */
function folderOf(values: Values): DeviceSketch<'filesystems'> {
  if (values.take('fsdriver') !== 'local')
    throw new NotUnderstood('only folders of the host have a place in a document');
  const security = values.take('security_model');
  const accessmode = security === undefined ? undefined : securityModels[security];
  if (security !== undefined && !accessmode)
    throw new NotUnderstood(`security_model=${security} has no place in a document`);
  const readonly = values.takeFlag('readonly');
  const multidevs = values.take('multidevs') as 'remap' | undefined;
  const [fmode, dmode] = ['fmode', 'dmode'].map((name) => values.take(name));
  return {
    type: 'mount',
    source: { dir: values.take('path') },
    ...optional('accessmode', accessmode),
    ...optional('multidevs', multidevs),
    ...(fmode !== undefined && { fmode: Number.parseInt(fmode, 8) }),
    ...(dmode !== undefined && { dmode: Number.parseInt(dmode, 8) }),
    ...(readonly && { readonly }),
  };
}

const ninep: Reader = ({ draft, places, attempt, values, model }) => {
  const folder = folderOf(attempt.backend('-fsdev', values.take('fsdev') ?? ''));
  const device = {
    ...folder,
    target: { dir: values.take('mount_tag') },
    ...(model !== 'virtio' && { model }),
    ...virtioDriver(values),
    ...places.address(values),
  };
  return () => draft.add('filesystems', device);
};

const pciHost: Reader = ({ draft, places, values }) => {
  const host = /^(?:([\da-f]{4}):)?([\da-f]{2}):([\da-f]{2})\.([0-7])$/i.exec(values.take('host') ?? '');
  if (!host) throw new NotUnderstood('it does not name a PCI device of the host');
  const [domain = '0', bus = '0', slot = '0', number = '0'] = host.slice(1).map((part) => part || '0');
  const order = values.takeNumber('bootindex');
  const address = {
    domain: parseInt(domain, 16),
    bus: parseInt(bus, 16),
    slot: parseInt(slot, 16),
    function: Number(number),
  };
  const device = {
    mode: 'subsystem' as const,
    type: 'pci' as const,
    managed: true,
    source: { address },
    ...(order !== undefined && { boot: { order } }),
    ...places.address(values),
  };
  return () => draft.add('hostdevs', device);
};

const usbHost: Reader = ({ draft, places, values }) => {
  const [bus, device] = [values.takeNumber('hostbus'), values.takeNumber('hostaddr')];
  const [vendor, product] = [values.takeNumber('vendorid'), values.takeNumber('productid')];
  const source =
    vendor !== undefined && product !== undefined
      ? { vendor: { id: vendor }, product: { id: product } }
      : bus !== undefined && device !== undefined
        ? { address: { bus, device } }
        : undefined;
  if (!source) throw new NotUnderstood('it names neither vendor and product nor bus and device');
  const place = places.usb(values);
  return () => draft.add('hostdevs', { mode: 'subsystem', type: 'usb', managed: true, source, ...place });
};

const vsock: Reader = ({ draft, places, values }) => {
  const address = values.takeNumber('guest-cid');
  const place = { ...virtioDriver(values), ...places.address(values) };
  // A descriptor of /dev/vhost-vsock is opened anew at each start.
  values.take('vhostfd');
  return () => void (draft.domain.devices.vsock = { cid: { auto: false, ...optional('address', address) }, ...place });
};

const iommu: Reader = ({ draft, values }) => {
  const [intremap, caching, eim, iotlb] = [
    values.takeFlag('intremap'),
    values.takeFlag('caching-mode'),
    values.takeFlag('eim'),
    values.takeFlag('device-iotlb'),
  ];
  const width = values.takeNumber('aw-bits');
  const driver = {
    ...optional('intremap', intremap),
    ...optional('caching_mode', caching),
    ...optional('eim', eim),
    ...optional('iotlb', iotlb),
    ...optional('aw_bits', width),
  };
  return () =>
    void (draft.domain.devices.iommu = { model: 'intel', ...(Object.keys(driver).length > 0 && { driver }) });
};

const hub: Reader = ({ draft, places, values }) => {
  const place = places.usb(values);
  return () => draft.add('hubs', { type: 'usb', ...place });
};

const redirected: Reader = ({ draft, places, attempt, values }) => {
  const order = values.takeNumber('bootindex');
  const backend = chardev(attempt, values);
  const place = places.usb(values);
  return () =>
    draft.add('redirdevs', { bus: 'usb', ...backend, ...(order !== undefined && { boot: { order } }), ...place });
};

const readers: Readonly<Record<string, Reader>> = {
  'usb-tablet': input('tablet', 'usb'),
  'usb-mouse': input('mouse', 'usb'),
  'usb-kbd': input('keyboard', 'usb'),
  'virtio-tablet': input('tablet', 'virtio'),
  'virtio-mouse': input('mouse', 'virtio'),
  'virtio-keyboard': input('keyboard', 'virtio'),
  'virtio-rng': rng,
  'virtio-balloon': balloon,
  i6300esb: watchdog('i6300esb'),
  ib700: watchdog('ib700'),
  pvpanic: panic('isa'),
  'pvpanic-pci': panic('pvpanic'),
  'virtio-9p': ninep,
  'vfio-pci': pciHost,
  'usb-host': usbHost,
  'vhost-vsock': vsock,
  'intel-iommu': iommu,
  'usb-hub': hub,
  'usb-redir': redirected,
};

export function readDevices(draft: Draft, places: Places): void {
  for (const option of draft.open('-device')) {
    const { name, model = 'virtio' } = virtioName(peek(option, 'driver') ?? '');
    const read = readers[name];
    if (!read) {
      option.why ??= `device '${name}' has no place in a document`;
      continue;
    }
    draft.understand(option, (attempt, values) => {
      values.take('driver');
      values.take('id');
      return read({ draft, places, attempt, values, model });
    });
  }
  readShortForms(draft);
  readGlobals(draft);
  readUsb(draft);
  draft.domain.devices.memballoon ??= { model: 'none' };
}

const usbDevices: Readonly<Record<string, 'mouse' | 'tablet' | 'keyboard'>> = {
  mouse: 'mouse',
  tablet: 'tablet',
  keyboard: 'keyboard',
};

function readShortForms(draft: Draft): void {
  draft.each(['-usbdevice'], (kind) => {
    const type = usbDevices[kind];
    if (!type) throw new NotUnderstood(`'${kind}' has no place in a document`);
    draft.add('inputs', { type, bus: 'usb' });
  });
  draft.each(['-balloon'], (kind) => {
    if (kind !== 'none') draft.domain.devices.memballoon = { model: 'virtio' };
  });
  draft.each(['-watchdog'], (model) => {
    if (model !== 'i6300esb' && model !== 'ib700') throw new NotUnderstood(`'${model}' has no place in a document`);
    draft.add('watchdogs', { model });
  });
  const { watchdogs = [] } = draft.domain.devices;
  draft.each(['-watchdog-action', '-action'], (words) => {
    const action = words.replace(/^watchdog=/, '') as 'reset';
    if (words.includes('=') && !words.startsWith('watchdog='))
      throw new NotUnderstood('what a guest does then is told by on_reboot and on_crash');
    // Without one it is the chip of the machine itself that acts; that it resets need not be said.
    if (watchdogs.length === 0 && action !== 'reset')
      throw new NotUnderstood('there is no watchdog that it could be for');
    for (const one of watchdogs) one.action = action;
  });
  for (const option of draft.open('-virtfs'))
    draft.understand(option, (_, values) => {
      values.take('id');
      const folder = { ...folderOf(values), target: { dir: values.take('mount_tag') } };
      return () => draft.add('filesystems', folder);
    });
}

/** `-global`: those that stand for an element of the document. */
function readGlobals(draft: Draft): void {
  const { domain } = draft;
  draft.each(['-global'], (words) => {
    const { driver, property, value } = globalOf(words);
    const pm = (more: typeof domain.pm): void => void (domain.pm = { ...domain.pm, ...more });
    if (/^(PIIX4_PM|ICH9-LPC)$/.test(driver) && property === 'disable_s3')
      pm({ suspendToMem: { enabled: value === '0' } });
    else if (/^(PIIX4_PM|ICH9-LPC)$/.test(driver) && property === 'disable_s4')
      pm({ suspendToDisk: { enabled: value === '0' } });
    else if (driver === 'kvm-pit' && property === 'lost_tick_policy' && (value === 'delay' || value === 'discard'))
      addTimer(domain, { name: 'pit', tickpolicy: value });
    else if (driver === 'ICH9-LPC' && property === 'noreboot' && value === 'off')
      return; // Every Q35 guest has this watchdog.
    else if (driver === 'isa-fdc' && /^bootindex[AB]$/.test(property)) bootFloppy(draft, property, Number(value));
    else throw new NotUnderstood(`property ${property} of ${driver} has no place in a document`);
  });
}

/** `driver.property=value`, or the three by name. */
function globalOf(words: string): { driver: string; property: string; value: string } {
  const short = /^([^.,=]+)\.([^=]+)=(.*)$/.exec(words);
  if (short) return { driver: short[1]!, property: short[2]!, value: short[3]! };
  const values = Values.read(words);
  return {
    driver: values.take('driver') ?? '',
    property: values.take('property') ?? '',
    value: values.take('value') ?? '',
  };
}

function bootFloppy({ domain }: Draft, property: string, order: number): void {
  const dev = property.endsWith('B') ? 'fdb' : 'fda';
  const disk = domain.devices.disks?.find(({ target }) => target?.dev === dev);
  if (!disk) throw new NotUnderstood(`there is no ${dev}`);
  disk.boot = { order };
}

/** A machine has no USB unless the line gives it some. */
function readUsb(draft: Draft): void {
  const { controllers = [], inputs = [], hostdevs = [], disks = [] } = draft.domain.devices;
  const isAsked = draft.open('-usb').length > 0;
  draft.each(['-usb'], () => undefined);
  const isUsed =
    isAsked ||
    controllers.some(({ type }) => type === 'usb') ||
    inputs.some(({ bus }) => bus === 'usb') ||
    hostdevs.some(({ type }) => type === 'usb') ||
    disks.some(({ target }) => target?.bus === 'usb');
  if (!isUsed) draft.add('controllers', { type: 'usb', index: 0, model: 'none' });
}
