/** USB devices in a folder laid out as the kernel lays out its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDomain, type Domain } from '@virtbus/domain-xml';
import { locateUsb, usbNode, withUsbDevices } from './usb-devices';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vb-usb-'));
  plugIn('1-1', { idVendor: '046d', idProduct: 'c077', busnum: '1', devnum: '4' });
  plugIn('1-2', { idVendor: '0bda', idProduct: '8153', busnum: '1', devnum: '5' });
  plugIn('2-1', { idVendor: '0bda', idProduct: '8153', busnum: '2', devnum: '12' });
  plugIn('1-1:1.0', { bInterfaceNumber: '00' });
});

afterAll(() => rmSync(folder, { recursive: true }));

function plugIn(name: string, files: Record<string, string>): void {
  mkdirSync(join(folder, name));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), `${text}\n`);
}

const id = (vendor: string, product: string): string => `<vendor id='0x${vendor}'/><product id='0x${product}'/>`;

function domainWith(source: string, policy = ''): Domain {
  const startupPolicy = policy && ` startupPolicy='${policy}'`;
  const hostdev = `<hostdev mode='subsystem' type='usb'><source${startupPolicy}>${source}</source></hostdev>`;
  const xml = `<domain type='qemu'><name>d</name><memory>1</memory><os><type>hvm</type></os><devices>${hostdev}</devices></domain>`;
  return parseDomain(xml, { mode: 'inactive', unknown: 'refuse' }).domain;
}

const found = (source: string, policy?: string, start: 'boot' | 'restore' = 'boot') =>
  withUsbDevices(domainWith(source, policy), start, folder).devices.hostdevs[0]!;

test('a device is found by what it is, and QEMU is told where', () => {
  const mouse = found(id('046d', 'c077'));
  expect(mouse.source?.address).toMatchObject({ bus: 1, device: 4 });
  expect(usbNode(mouse)).toBe('/dev/bus/usb/001/004');
});

test('a device is found by where it is, also among others of its kind', () => {
  expect(usbNode(found("<address bus='1' device='4'/>"))).toBe('/dev/bus/usb/001/004');
  expect(usbNode(found(`${id('0bda', '8153')}<address bus='2' device='12'/>`))).toBe('/dev/bus/usb/002/012');
});

test('of two of a kind one has to be named', () => {
  const message = 'Multiple USB devices for 0bda:8153, use <address> to specify one';
  for (const policy of ['mandatory', 'optional']) {
    expect(() => found(id('0bda', '8153'), policy)).toThrow(message);
  }
});

test.each([
  ['mandatory', 'boot', false],
  ['mandatory', 'restore', false],
  ['requisite', 'boot', false],
  ['requisite', 'restore', true],
  ['optional', 'boot', true],
  ['optional', 'restore', true],
] as const)('one that is %s and not there on a %s: the guest goes without: %s', (policy, start, without) => {
  const start_ = () => found(id('dead', 'beef'), policy, start);
  if (!without) return expect(start_).toThrow('Did not find USB device dead:beef');
  expect(start_().source?.missing).toBe(true);
  expect(usbNode(start_())).toBeUndefined();
});

test('one that joins a running guest must be there, whatever its policy', () => {
  const [hostdev] = domainWith("<address bus='9' device='9'/>", 'optional').devices.hostdevs;
  expect(() => locateUsb(hostdev!, folder)).toThrow('Did not find USB device bus:9 device:9');
});

test('on a host without USB nothing is found', () => {
  const nowhere = join(folder, 'none');
  expect(() => withUsbDevices(domainWith(id('046d', 'c077')), 'boot', nowhere)).toThrow('Did not find USB device');
});

test('a domain without such devices is left as it is', () => {
  const domain = domainWith(id('046d', 'c077'));
  const other = { ...domain, devices: { ...domain.devices, hostdevs: [] } };
  expect(withUsbDevices(other, 'boot', folder)).toBe(other);
});
