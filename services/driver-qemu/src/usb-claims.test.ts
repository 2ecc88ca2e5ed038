import { parseDomain, type Domain } from '@virtbus/domain-xml';
import { UsbClaims } from './usb-claims';

const uuidOf = (name: string): string => `00000000-0000-4000-8000-00000000000${name}`;

function domainWith(name: string, ...places: [number, number][]): Domain {
  const hostdevs = places.map(
    ([bus, device]) =>
      `<hostdev mode='subsystem' type='usb'><source><address bus='${bus}' device='${device}'/></source></hostdev>`,
  );
  const xml = `<domain type='qemu'><name>${name}</name><uuid>${uuidOf(name)}</uuid><memory>1</memory><os><type>hvm</type></os><devices>${hostdevs.join('')}</devices></domain>`;
  return parseDomain(xml, { mode: 'inactive', unknown: 'refuse' }).domain;
}

const hostdevsOf = (domain: Domain) => domain.devices.hostdevs;
const inUse = (name: string) =>
  expect.objectContaining({
    code: 'OPERATION_INVALID',
    message: expect.stringContaining(`USB device /dev/bus/usb/001/004 is in use by domain '${name}'`) as string,
  }) as Error;

test('a device serves one guest, until that has ended', () => {
  const claims = new UsbClaims();
  const [one, two] = [domainWith('1', [1, 4]), domainWith('2', [1, 5], [1, 4])];
  claims.take(one, hostdevsOf(one));
  expect(() => claims.take(two, hostdevsOf(two))).toThrow(inUse('1'));
  // Nothing was taken for the one that was refused.
  const three = domainWith('3', [1, 5]);
  claims.take(three, hostdevsOf(three));
  claims.giveBackAll(three);
  claims.giveBackAll(one);
  claims.take(two, hostdevsOf(two));
});

test('a device is given to a guest once', () => {
  const claims = new UsbClaims();
  const twice = domainWith('1', [1, 4], [1, 4]);
  expect(() => claims.take(twice, hostdevsOf(twice))).toThrow(inUse('1'));
  const once = domainWith('1', [1, 4]);
  claims.take(once, hostdevsOf(once));
  expect(() => claims.take(once, hostdevsOf(once))).toThrow(inUse('1'));
});

test('one that was unplugged is free, those of guests that were found are not', () => {
  const claims = new UsbClaims();
  const one = domainWith('1', [1, 4]);
  claims.found(one);
  const two = domainWith('2', [1, 4]);
  expect(() => claims.take(two, hostdevsOf(two))).toThrow(inUse('1'));
  claims.giveBack(hostdevsOf(one)[0]!);
  claims.take(two, hostdevsOf(two));
});
