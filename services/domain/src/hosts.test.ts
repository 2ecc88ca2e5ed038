import type { HostStatus } from '@virtbus/shared';
import { Hosts, onlineMs } from './hosts';

const status = (change: Partial<HostStatus> = {}): HostStatus =>
  ({ host: 'h1', driver: 'qemu', startedAt: '2026-01-01T00:00:00Z', ...change }) as HostStatus;

test('a host is online while it is heard, and what it was stays listed', () => {
  let now = 0;
  const hosts = new Hosts(() => now);
  expect(hosts.hear(status())).toBe('new');
  now += onlineMs - 1;
  expect(hosts.isOnline({ host: 'h1', driver: 'qemu' })).toBe(true);
  now += 1;
  expect(hosts.list()).toMatchObject([{ host: 'h1', online: false }]);
  expect(hosts.hear(status())).toBe('returned');
  expect(hosts.hear(status())).toBe('steady');
  expect(hosts.hear(status({ startedAt: '2026-01-02T00:00:00Z' }))).toBe('restarted');
});

test('who waits for a driver to be started again hears of that one alone', async () => {
  const hosts = new Hosts(() => 0);
  const heard: string[] = [];
  const waitFor = (driver: string) => {
    const restart = hosts.nextRestart({ host: 'h1', driver });
    void restart.heard.then(() => heard.push(driver));
    return restart;
  };
  using _qemu = waitFor('qemu');
  using _lxc = waitFor('lxc');
  for (const driver of ['qemu', 'lxc']) hosts.hear(status({ driver }));
  await Promise.resolve();
  expect(heard).toEqual([]);
  hosts.hear(status({ startedAt: '2026-01-02T00:00:00Z' }));
  await Promise.resolve();
  expect(heard).toEqual(['qemu']);
});

test('a remembered host is known and offline, and its first heartbeat is its return', () => {
  const hosts = new Hosts(() => 0);
  hosts.remember(status());
  expect(hosts.list()).toMatchObject([{ online: false }]);
  expect(hosts.hear(status())).toBe('returned');
  hosts.remember(status({ version: 'older' }));
  expect(hosts.list()[0]!.version).toBeUndefined();
});

test('the drivers of a host come online ones first; a host nobody heard of is not found', () => {
  const hosts = new Hosts(() => 0);
  hosts.remember(status({ driver: 'lxc' }));
  hosts.hear(status());
  expect(hosts.driversOf('h1').map(({ driver }) => driver)).toEqual(['qemu', 'lxc']);
  expect(() => hosts.driversOf('h2')).toThrow("no host named 'h2'");
});

test('a driver that no host has is a mistake, once any host has been heard of', () => {
  const hosts = new Hosts(() => 0);
  hosts.refuseUnknownDriver('foo');
  hosts.remember(status({ driver: 'lxc' }));
  hosts.hear(status());
  hosts.refuseUnknownDriver('lxc');
  expect(() => hosts.refuseUnknownDriver('foo')).toThrow("no host has driver 'foo' (there are lxc, qemu)");
});

test('a driver that is forgotten is not listed, and is new when it is heard again', () => {
  let now = 0;
  const hosts = new Hosts(() => now);
  const listed = (): string[] => hosts.list().map(({ driver }) => driver);
  hosts.hear(status());
  now = 6_999;
  hosts.hear(status({ driver: 'lxc' }));
  // Whoever forgot it heard it last a moment before we did.
  hosts.forget({ host: 'h1', driver: 'qemu' });
  expect(listed()).toEqual(['lxc', 'qemu']);
  now = 7_000;
  expect(listed()).toEqual(['lxc']);
  expect(hosts.hear(status())).toBe('new');
  now = 14_001;
  expect(listed()).toEqual(['lxc', 'qemu']);
});
