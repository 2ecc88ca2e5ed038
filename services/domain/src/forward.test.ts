import { chooseDriver } from './forward';

const drivers = [
  { host: 'h1', driver: 'qemu', nativeFormats: ['qemu-argv'] },
  { host: 'h1', driver: 'lxc', nativeFormats: ['lxc-tools'] },
];
const chosen = (query: object): string => chooseDriver(drivers, query).driver;

test('a query about a host goes to the driver it names, else to the first', () => {
  expect(chosen({ driver: 'lxc' })).toBe('lxc');
  expect(chosen({})).toBe('qemu');
  expect(() => chosen({ driver: 'xen' })).toThrow("host 'h1' has no driver 'xen' (it has qemu, lxc)");
});

test('a native format finds the driver that knows it; one that nobody knows goes to the first, which refuses it', () => {
  expect(chosen({ format: 'lxc-tools' })).toBe('lxc');
  expect(chosen({ format: 'xen-xl' })).toBe('qemu');
  expect(chosen({ format: 'lxc-tools', driver: 'qemu' })).toBe('qemu');
});
