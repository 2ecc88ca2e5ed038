import { chooseDriver, refuseUnknownFormat } from './forward';

const lxc = {
  host: 'h1',
  driver: 'lxc',
  nativeFormats: ['lxc-tools'],
  virtTypes: ['lxc'],
  facets: ['console'],
  online: true,
};
const qemu = {
  host: 'h1',
  driver: 'qemu',
  nativeFormats: ['qemu-argv'],
  virtTypes: ['kvm', 'qemu'],
  facets: ['console', 'cpu'],
  online: true,
};
const drivers = [lxc, qemu];
const chosen = (query: object): string => chooseDriver(drivers, query).driver;

test('a query about a host goes to the driver it names, else to the one that can do most and is there', () => {
  expect(chosen({ driver: 'lxc' })).toBe('lxc');
  expect(chosen({})).toBe('qemu');
  expect(chooseDriver([lxc, { ...qemu, online: false }], {}).driver).toBe('lxc');
  expect(() => chosen({ driver: 'xen' })).toThrow("host 'h1' has no driver 'xen' (it has lxc, qemu)");
});

test('a native format or a domain type finds the driver that knows it; one that nobody knows goes where most is known', () => {
  expect(chosen({ format: 'lxc-tools' })).toBe('lxc');
  expect(chosen({ virtType: 'lxc' })).toBe('lxc');
  expect(chosen({ format: 'xen-xl' })).toBe('qemu');
  expect(chosen({ format: 'lxc-tools', driver: 'qemu' })).toBe('qemu');
});

test('a native format that no driver of a host knows is refused with those of all of them', () => {
  expect(() => refuseUnknownFormat(drivers, { format: 'bogus' })).toThrow(
    "host 'h1' cannot convert format 'bogus'; it knows lxc-tools, qemu-argv",
  );
  for (const query of [{ format: 'lxc-tools' }, { format: 'bogus', driver: 'qemu' }])
    expect(() => refuseUnknownFormat(drivers, query)).not.toThrow();
});
