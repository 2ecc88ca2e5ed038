/** The units of deploy/systemd under a systemd: each service comes up within the bounds of its unit, and guests outlive it. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout, eventually, findProgram, temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';
import { BootedSystemd, needsSystemd } from './booted-systemd';

const needs = needsSystemd();
const services = ['domain', 'migration', 'storage', 'driver-qemu', 'driver-lxc'] as const;
const onHost = ['storage', 'driver-qemu', 'driver-lxc'];
const unitOf = (service: string): string => `virtbus-${service}.service`;
const text = { encoding: 'utf8', stdio: 'pipe' } as const;

let folder: TemporaryFolder;
let machine: BootedSystemd;
beforeAll(async () => {
  if (!needs.met) return;
  folder = temporaryFolder();
  const layout = folder.file('layout');
  execFileSync(join(checkout, 'deploy/install.sh'), ['--destdir', layout, '--prefix', '/opt/virtbus']);
  makeBus(layout, folder.file('bus'));
  machine = await BootedSystemd.boot({
    '/opt/virtbus': join(layout, 'opt/virtbus'),
    '/etc/virtbus': join(layout, 'etc/virtbus'),
    '/etc/systemd/system': join(layout, 'usr/lib/systemd/system'),
    '/etc/sysusers.d': join(layout, 'usr/lib/sysusers.d'),
    '/srv': folder.file('bus'),
  });
}, 240_000);
afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
  folder?.[Symbol.dispose]();
}, 60_000);

/** As docs/how-to/credentials.md says, and docs/operations.md: a bus of one server, credentials where the units look for them. */
function makeBus(layout: string, bus: string): void {
  const virtbus = (...args: string[]): string =>
    execFileSync(join(layout, 'opt/virtbus/bin/virtbus'), ['auth', ...args], text);
  virtbus('init', bus, '--servers', 'n1=127.0.0.1', '--config-dir', '/srv/servers/n1', '--store-dir', '/var/lib/nats');
  virtbus('add', '--role', 'host', '--host', 'h1', '--folder', bus);
  const credentials = join(layout, 'etc/virtbus/credentials');
  mkdirSync(credentials, { mode: 0o700 });
  copyFileSync(join(bus, 'host-h1.json'), join(credentials, 'host.json'));
  copyFileSync(join(bus, 'service.json'), join(credentials, 'service.json'));
  for (const service of onHost) appendFileSync(join(layout, `etc/virtbus/${service}.env`), 'VIRTBUS_HOST=h1\n');
  const server = `[Service]\nExecStart=${findProgram('nats-server')!} -c /srv/servers/n1/nats-server.conf\n`;
  writeFileSync(join(layout, 'usr/lib/systemd/system/nats-server.service'), server);
  const xml = `<domain type='qemu'><name>g</name><memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>`;
  writeFileSync(join(bus, 'g.xml'), xml);
  chmodSync(bus, 0o755);
}

const virtbus = (...args: string[]): Promise<string> =>
  machine.run('env', 'VIRTBUS_CONTEXT=/srv/admin.json', '/opt/virtbus/bin/virtbus', ...args);

/** Of one that runs: pid, and how often it was started again by itself. */
async function mainProcess(service: string): Promise<{ pid: number; restarts: number }> {
  const said = await machine.run('systemctl', 'show', '--property=MainPID,NRestarts', unitOf(service));
  const number = (name: string): number => Number(new RegExp(`^${name}=(\\d+)$`, 'm').exec(said)?.[1]);
  return { pid: number('MainPID'), restarts: number('NRestarts') };
}

/** Lines of `virtbus hosts` that say so. */
const online = async (): Promise<string[]> =>
  (await virtbus('hosts')).split('\n').flatMap((line) => /^ *h1 +(\S+) +online/.exec(line)?.[1] ?? []);

needs.test(
  'each service comes up within the bounds of its unit',
  async () => {
    await allowCgroups();
    await machine.run('systemctl', 'start', 'nats-server', ...services.map(unitOf));
    await eventually(online, ['lxc', 'qemu'], { timeoutMs: 60_000, intervalMs: 250 });
    for (const service of services) expect(await mainProcess(service)).toMatchObject({ restarts: 0 });
  },
  120_000,
);

/** Where cgroups are of version 1, a machine in namespaces has their controllers read-only. */
async function allowCgroups(): Promise<void> {
  const mounts = (await machine.run('cat', '/proc/mounts')).split('\n').map((line) => line.split(' '));
  for (const [, place, type, options] of mounts) {
    if (type !== 'cgroup' || !options?.startsWith('ro')) continue;
    await machine.run('mount', '--options', 'remount,bind,rw', place!);
  }
}

needs.test(
  'a guest outlives its driver, which is replaced and killed',
  async () => {
    await virtbus('define', '/srv/g.xml');
    await virtbus('start', 'g');
    const run = (await virtbus('domid', 'g')).trim();
    const hurts = [['restart'], ['kill', '--kill-whom=main', '--signal=KILL']];
    for (const hurt of hurts) {
      const { pid } = await mainProcess('driver-qemu');
      await machine.run('systemctl', ...hurt, unitOf('driver-qemu'));
      const isAnother = (now: { pid: number }): boolean => now.pid > 0 && now.pid !== pid;
      await eventually(() => mainProcess('driver-qemu'), isAnother, { timeoutMs: 60_000, intervalMs: 250 });
      await eventually(online, ['lxc', 'qemu'], { timeoutMs: 60_000, intervalMs: 250 });
      expect((await virtbus('domstate', 'g')).trim()).toBe('running');
      expect((await virtbus('domid', 'g')).trim()).toBe(run);
    }
    await virtbus('suspend', 'g');
    await virtbus('destroy', 'g');
    await virtbus('undefine', 'g');
  },
  180_000,
);
