/**
 * docker-compose.yml for real: built, brought up, used, and hurt. One platform for all tests, each of which leaves it whole.
 */
import { copyFileSync, chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { getDomain, listMigrations } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, isAlive, tinyGuest, tinyRootfs } from '@virtbus/testkit';
import { PatientClient } from '../chaos/patient-client';
import { Engine, needsEngine } from './engine';
import { buildImages } from './images';
import { copies, Platform, servers } from './platform';
import { SteadyClient } from './steady-client';

const needs = needsEngine();
const minutes = 60_000;
/** As in the rounds of `npm run chaos -- cluster`. */
const pausedMs = 4_000;

let folder: string;
let engine: Engine;
let platform: Platform;
let bus: Bus;
let guest: { uuid: string; pid: number };

beforeAll(async () => {
  if (!needs.met) return;
  folder = mkdtempSync(join(tmpdir(), 'vbc-'));
  chmodSync(folder, 0o711);
  engine = await Engine.start(folder);
  const began = Date.now();
  const sizes = await buildImages(engine, 'test', folder);
  process.stderr.write(`images, built in ${Math.round((Date.now() - began) / 1000)} s:\n${sizes.join('\n')}\n`);
  platform = await Platform.start(engine, folder, 'test');
}, 15 * minutes);

afterAll(async () => {
  if (!needs.met) return;
  await platform?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
  if (folder) rmSync(folder, { recursive: true, force: true });
}, 3 * minutes);

const state = async (domain: string): Promise<string> =>
  (await call(bus, getDomain, {}, { target: domain })).domain.state;

/** Every command that was answered has happened once, in the order of the answers, and the log tells so once. */
async function agrees(client: SteadyClient): Promise<void> {
  expect(client.failures).toEqual([]);
  const expected = client.acknowledged;
  const told = async () => (await client.told()).map(({ type, commandId }) => ({ id: commandId, type }));
  await eventually(async () => (await told()).length >= expected.length, true, { timeoutMs: 30_000, intervalMs: 500 });
  expect(await told()).toEqual(expected);
}

const patient = () => {
  const client = new PatientClient(bus, guest.uuid);
  return SteadyClient.start(bus, guest.uuid, (turn, id) => client.ask(turn, {}, id));
};

/** The client has been served anew since something was hurt, and the migration service answers. */
async function goesOn(client: SteadyClient): Promise<void> {
  const so = client.acknowledged.length;
  await eventually(
    () => client.acknowledged.length,
    (now) => now > so + 4,
    { timeoutMs: 90_000 },
  );
  await eventually(
    () => call(bus, listMigrations, {}, { timeoutMs: 5_000 }),
    { migrations: [] },
    { timeoutMs: 90_000 },
  );
}

needs.test(
  'docker compose up gives a working platform, on which a guest and a container run',
  async () => {
    await eventually(async () => (await platform.virtbus('hosts')).match(/ online /g)?.length, 2, {
      timeoutMs: 60_000,
      intervalMs: 500,
    });
    const { kernel, initrd, append } = await tinyGuest();
    copyFileSync(kernel, join(platform.images, 'vmlinuz'));
    copyFileSync(initrd, join(platform.images, 'initramfs.gz'));
    for (const name of ['vmlinuz', 'initramfs.gz']) chmodSync(join(platform.images, name), 0o644);
    await tinyRootfs(join(platform.images, 'c1'));
    chmodSync(platform.images, 0o755);
    await define(
      'tiny',
      `<domain type='qemu'><name>tiny</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
      <os><type arch='x86_64' machine='q35'>hvm</type><kernel>/srv/virtbus/vmlinuz</kernel>
        <initrd>/srv/virtbus/initramfs.gz</initrd><cmdline>${append}</cmdline></os>
      <devices><serial type='pty'/></devices></domain>`,
    );
    await define(
      'c1',
      `<domain type='lxc'><name>c1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
      <os><type>exe</type><init>/sbin/init</init></os><features><privnet/></features>
      <devices><filesystem type='mount'><source dir='/srv/virtbus/c1'/><target dir='/'/></filesystem>
        <console type='pty'/></devices></domain>`,
    );
    await platform.virtbus('start', 'tiny');
    await platform.virtbus('start', 'c1');
    expect(await platform.virtbus('exec', 'c1', '--', 'echo', 'inside')).toContain('inside');
    bus = await platform.connect();
    const { domain } = await call(bus, getDomain, {}, { target: 'tiny' });
    expect(platform.guests()).toHaveLength(1);
    guest = { uuid: domain.uuid, pid: platform.guests()[0]! };
  },
  5 * minutes,
);

needs.test('services that need no root have none, and hold no capability', async () => {
  for (const service of [...servers, ...copies]) {
    const status = await platform.docker('exec', platform.container(service), 'cat', '/proc/1/status');
    expect(status).toMatch(/^Uid:\t898\t898\t898\t898$/m);
    expect(status).toMatch(/^CapBnd:\t0+$/m);
  }
});

needs.test(
  'guests outlive the containers of their drivers, restarted, replaced and killed',
  async () => {
    const drivers = ['storage', 'driver-qemu', 'driver-lxc'];
    for (const verbs of [[['restart']], [['up', '--detach', '--no-deps', '--force-recreate']], [['kill'], ['start']]]) {
      for (const verb of verbs) await platform.dockerCompose(...verb, ...drivers);
      for (const name of drivers) await platform.healthy(name);
      expect(platform.guests()).toEqual([guest.pid]);
      await eventually(() => state('tiny'), 'running', { timeoutMs: 30_000 });
      await eventually(() => state('c1'), 'running', { timeoutMs: 30_000 });
    }
    expect(await platform.virtbus('exec', 'c1', '--', 'echo', 'still')).toContain('still');
    await platform.virtbus('suspend', 'tiny');
    await platform.virtbus('resume', 'tiny');
  },
  5 * minutes,
);

needs.test(
  'no command fails while each copy of a service is replaced in turn',
  async () => {
    await using client = await SteadyClient.start(bus, guest.uuid, (turn, id) =>
      call(bus, turn, {}, { target: guest.uuid, id }),
    );
    for (const copy of copies) await platform.replace(copy);
    await client.stop();
    await agrees(client);
    expect(client.acknowledged.length).toBeGreaterThan(10);
  },
  5 * minutes,
);

needs.test(
  'a command that is answered is applied once and told once, while each server and each copy is killed in turn',
  async () => {
    await using client = await patient();
    for (const name of [...servers, ...copies]) {
      await platform.docker('kill', platform.container(name));
      try {
        await goesOn(client);
      } finally {
        await platform.docker('start', platform.container(name));
      }
      await platform.healthy(name);
    }
    await client.stop();
    await agrees(client);
    expect(isAlive(guest.pid)).toBe(true);
  },
  8 * minutes,
);

needs.test(
  'a command that is answered is applied once and told once, while each server and each copy stands still for a while in turn',
  async () => {
    await using client = await patient();
    for (const name of [...servers, ...copies]) {
      await platform.docker('pause', platform.container(name));
      try {
        await sleep(pausedMs);
      } finally {
        await platform.docker('unpause', platform.container(name));
      }
      await goesOn(client);
      await platform.healthy(name);
    }
    await client.stop();
    await agrees(client);
    expect(isAlive(guest.pid)).toBe(true);
  },
  8 * minutes,
);

needs.test(
  'a server and a copy of a service that are cut off from the others are done without, and come back',
  async () => {
    await using client = await patient();
    for (const [name, networks] of Object.entries({ 'nats-3': ['bus', 'hosts'], 'domain-1': ['bus'] })) {
      await platform.cut([name], networks);
      try {
        await goesOn(client);
      } finally {
        await platform.join([name], networks);
      }
      await platform.healthy(name);
      await goesOn(client);
    }
    await client.stop();
    await agrees(client);
  },
  5 * minutes,
);

needs.test(
  'a host that is cut off harms no guest, is told offline, and tells afterwards what happened meanwhile',
  async () => {
    const offline = async () => (await platform.virtbus('hosts')).includes(' offline ');
    platform.partHost();
    try {
      await eventually(offline, true, { timeoutMs: 60_000, intervalMs: 1_000 });
      expect(isAlive(guest.pid)).toBe(true);
      process.kill(guest.pid, 'SIGKILL');
    } finally {
      platform.healHost();
    }
    await eventually(offline, false, { timeoutMs: 60_000, intervalMs: 1_000 });
    bus = await platform.connect();
    await eventually(() => state('tiny'), 'shutoff', { timeoutMs: 60_000 });
    const told = (): Promise<string> => platform.virtbus('events', '--since', 'all', '--domain', 'tiny');
    await eventually(told, (events) => events.includes('stopped (failed)'), { intervalMs: 500 });
    await eventually(
      () => platform.virtbus('verify'),
      () => true,
      { intervalMs: 500 },
    );
    await platform.virtbus('destroy', 'c1');
  },
  5 * minutes,
);

needs.test(
  'the drivers that are stopped leave a guest that runs',
  async () => {
    await platform.virtbus('start', 'tiny');
    const before = platform.guests();
    await platform.dockerCompose('stop', '--timeout', '60');
    expect(platform.guests()).toEqual(before);
    expect(readFileSync(`/proc/${before[0]}/cmdline`, 'utf8')).toContain('guest=tiny');
  },
  3 * minutes,
);

async function define(name: string, xml: string): Promise<void> {
  writeFileSync(join(platform.images, `${name}.xml`), xml, { mode: 0o644 });
  await platform.virtbus('define', `/srv/virtbus/${name}.xml`);
}
