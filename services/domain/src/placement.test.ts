import type { Listed } from './hosts';
import { Placement, type Wanted } from './placement';

const gib = 1_048_576;

const host = (name: string, change: Partial<Listed> = {}): Listed =>
  ({
    host: name,
    driver: 'qemu',
    virtTypes: ['kvm', 'qemu'],
    arches: ['x86_64', 'i686'],
    labels: {},
    freeMemoryKiB: 8 * gib,
    online: true,
    cordoned: false,
    ...change,
  }) as Listed;
const wanted = (change: Partial<Wanted> = {}): Wanted => ({
  virtType: 'kvm',
  arch: 'x86_64',
  memoryKiB: gib,
  labels: {},
  ...change,
});

test('the fitting host with the most free memory is chosen', () => {
  const hosts = [
    host('a', { freeMemoryKiB: 2 * gib }),
    host('b'),
    host('c', { virtTypes: ['lxc'], freeMemoryKiB: 64 * gib }),
  ];
  expect(new Placement().choose(wanted(), hosts)).toEqual({ host: 'b', driver: 'qemu' });
});

test('a burst of placements spreads before heartbeats tell of it', () => {
  let now = 0;
  const placement = new Placement(() => now);
  const hosts = [host('a', { freeMemoryKiB: 4 * gib }), host('b', { freeMemoryKiB: 3.5 * gib })];
  const chosen = () => placement.choose(wanted(), hosts).host;
  expect([chosen(), chosen(), chosen(), chosen()]).toEqual(['a', 'b', 'a', 'b']);
  now = 60_000;
  expect(chosen()).toBe('a');
});

test('labels must match', () => {
  const hosts = [host('a'), host('b', { labels: { zone: 'n', ssd: 'yes' }, freeMemoryKiB: 2 * gib })];
  expect(new Placement().choose(wanted({ labels: { zone: 'n' } }), hosts).host).toBe('b');
});

test('a host that was asked for may be short of memory, but not of the hypervisor', () => {
  const hosts = [host('a', { freeMemoryKiB: 0 })];
  expect(new Placement().choose(wanted({ host: 'a' }), hosts).host).toBe('a');
  expect(() => new Placement().choose(wanted({ host: 'a', virtType: 'lxc' }), hosts)).toThrow(
    "operation failed: no suitable host: a (qemu) cannot run domains of type 'lxc' (it runs kvm, qemu)",
  );
});

test('the error says why each host does not fit', () => {
  const hosts = [
    host('a', { online: false }),
    host('b', { freeMemoryKiB: 1_024 }),
    host('c', { arches: ['aarch64'] }),
    host('d', { labels: { zone: 's' } }),
  ];
  expect(() => new Placement().choose(wanted({ labels: { zone: 'n' } }), hosts)).toThrow(
    'a (qemu) is offline; b (qemu) has label zone=(none), not zone=n; ' +
      "c (qemu) cannot run guests of architecture 'x86_64'; d (qemu) has label zone=s, not zone=n",
  );
  expect(() => new Placement().choose(wanted(), [host('b', { freeMemoryKiB: 102_400 })])).toThrow(
    'b (qemu) has 100 MiB of memory free, 1024 MiB are needed',
  );
  expect(() => new Placement().choose(wanted(), [])).toThrow('no host has joined yet');
});

test('a host that was asked for and is away or unknown is named', () => {
  const hosts = [host('a', { online: false })];
  expect(() => new Placement().choose(wanted({ host: 'a' }), hosts)).toThrow(
    "nobody answers for driver-qemu on host 'a'",
  );
  expect(() => new Placement().choose(wanted({ host: 'z' }), hosts)).toThrow("no host named 'z'");
});

test('a host that is being emptied gets nothing, also when it is asked for by name', () => {
  const hosts = [host('a', { cordoned: true }), host('b', { freeMemoryKiB: 2 * gib })];
  expect(new Placement().choose(wanted(), hosts)).toEqual({ host: 'b', driver: 'qemu' });
  expect(() => new Placement().choose(wanted({ host: 'a' }), hosts)).toThrow(
    'a (qemu) takes no new domains until it is undrained (virtbus host undrain a)',
  );
});
