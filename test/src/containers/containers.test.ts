/** docker-compose.yml for real: built, brought up, used, its containers replaced, and stopped. One platform for all tests. */
import { readFileSync } from 'node:fs';
import { eventually } from '@virtbus/testkit';
import { needsEngine } from './engine';
import { copies, servers } from './platform';
import { ContainersStand } from './stand';

const needs = needsEngine();
const minutes = 60_000;

let stand: ContainersStand;
beforeAll(async () => {
  if (needs.met) stand = await ContainersStand.start();
}, 15 * minutes);
afterAll(() => stand?.[Symbol.asyncDispose](), 3 * minutes);

needs.test(
  'docker compose up gives a working platform, on which a guest and a container run',
  async () => {
    const { platform } = stand;
    await stand.populate();
    expect(await platform.virtbus('exec', 'c1', '--', 'echo', 'inside')).toContain('inside');
    expect(platform.guests()).toHaveLength(1);
  },
  5 * minutes,
);

needs.test('services that need no root have none, and hold no capability', async () => {
  for (const service of [...servers, ...copies]) {
    const status = await stand.platform.docker('exec', stand.platform.container(service), 'cat', '/proc/1/status');
    expect(status).toMatch(/^Uid:\t898\t898\t898\t898$/m);
    expect(status).toMatch(/^CapBnd:\t0+$/m);
  }
});

needs.test(
  'guests outlive the containers of their drivers, restarted, replaced and killed',
  async () => {
    const drivers = ['storage', 'driver-qemu', 'driver-lxc'];
    for (const verbs of [[['restart']], [['up', '--detach', '--no-deps', '--force-recreate']], [['kill'], ['start']]]) {
      for (const verb of verbs) await stand.platform.dockerCompose(...verb, ...drivers);
      for (const name of drivers) await stand.platform.healthy(name);
      expect(stand.platform.guests()).toEqual([stand.guest.pid]);
      await eventually(() => stand.state('tiny'), 'running', { timeoutMs: 30_000 });
      await eventually(() => stand.state('c1'), 'running', { timeoutMs: 30_000 });
    }
    expect(await stand.platform.virtbus('exec', 'c1', '--', 'echo', 'still')).toContain('still');
    await stand.platform.virtbus('suspend', 'tiny');
    await stand.platform.virtbus('resume', 'tiny');
  },
  5 * minutes,
);

needs.test(
  'the drivers that are stopped leave a guest that runs',
  async () => {
    const before = stand.platform.guests();
    await stand.platform.dockerCompose('stop', '--timeout', '60');
    expect(stand.platform.guests()).toEqual(before);
    expect(readFileSync(`/proc/${before[0]}/cmdline`, 'utf8')).toContain('guest=tiny');
  },
  3 * minutes,
);
