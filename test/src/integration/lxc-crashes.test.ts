/** The LXC driver is killed under running containers: all are found again, and what happened meanwhile is told once. */
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { destroyDomain, suspendDomain, type DomainSummary } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { cgroupMounts, eventually, isAlive, needsContainers, Stack, tinyRootfs } from '@virtbus/testkit';

const containers = needsContainers();
let stack: Stack;
let bus: Bus;

beforeAll(async () => {
  if (!containers.met) return;
  stack = await Stack.start({ hosts: [], lxcHosts: ['c1'] });
  bus = await stack.connect();
}, 60_000);
afterAll(async () => stack?.[Symbol.asyncDispose]());

const endsOf = async (uuid: string): Promise<unknown[]> =>
  (await stack.events(bus, uuid))
    .filter(({ type }) => type === 'stopped')
    .map(({ detail, data }) => ({ detail, data }));

containers.test(
  'of twenty containers two end and one reboots while the driver is dead: eighteen are adopted, the rest is told once',
  async () => {
    const all: DomainSummary[] = await Promise.all(
      Array.from({ length: 20 }, (_, n) => stack.runContainer(bus, { name: `many${n}`, args: ['exit-status=5'] })),
    );
    const [ended, killed, rebooted, frozen] = all as [DomainSummary, DomainSummary, DomainSummary, DomainSummary];
    for (const { uuid } of [ended, rebooted]) await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
    await call(bus, suspendDomain, {}, { target: frozen.uuid });
    const before = new Map(all.map(({ uuid }) => [uuid, stack.containerInit(uuid)]));
    await stack.restartDriver('c1', async () => {
      process.kill(before.get(ended.uuid)!, 'SIGTERM');
      process.kill(before.get(killed.uuid)!, 'SIGKILL');
      process.kill(before.get(rebooted.uuid)!, 'SIGINT');
      for (const { uuid } of [ended, killed, rebooted]) await eventually(() => isAlive(before.get(uuid)!), false);
      await eventually(() => stack.containerPids().length, 18);
      await eventually(() => stack.containerInit(rebooted.uuid) !== before.get(rebooted.uuid), true);
    });
    const states = async (): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (const { state, reason } of await stack.inventory('c1')) {
        counts[`${state}(${reason})`] = (counts[`${state}(${reason})`] ?? 0) + 1;
      }
      return counts;
    };
    await eventually(
      async () => JSON.stringify(Object.entries(await states()).sort()),
      JSON.stringify([
        ['paused(user)', 1],
        ['running(booted)', 17],
        ['shutoff(crashed)', 1],
        ['shutoff(shutdown)', 1],
      ]),
    );
    expect(await endsOf(ended.uuid)).toEqual([{ detail: 'shutdown', data: { exitStatus: 5 } }]);
    expect(await endsOf(killed.uuid)).toEqual([{ detail: 'failed', data: { signal: 9 } }]);
    const reboots = (await stack.events(bus, rebooted.uuid)).filter((event) => event.class === 'reboot');
    expect(reboots).toHaveLength(1);
    // A second restart has nothing more to tell.
    await stack.restartDriver('c1');
    for (const { uuid } of [ended, killed]) expect(await endsOf(uuid)).toHaveLength(1);
    expect((await stack.events(bus, rebooted.uuid)).filter((event) => event.class === 'reboot')).toHaveLength(1);
    for (const { uuid } of all.slice(2)) await call(bus, destroyDomain, {}, { target: uuid });
    expect(stack.containerPids()).toEqual([]);
    expect(leftCgroups()).toEqual([]);
  },
  90_000,
);

containers.test(
  'the log of one that reboots without end does not fill its host, and tells a later driver no more and no less',
  async () => {
    const root = await tinyRootfs(stack.folder.file('endless'));
    writeFileSync(join(root, 'again'), '');
    const again = ['-c', 'echo >>/boots; [ -e /again ] &amp;&amp; exec reboot -f; exec sleep 600'];
    const { uuid } = await stack.runContainer(bus, { name: 'endless', init: '/bin/sh', args: again, root });
    const folder = stack.folder.file('state', 'hosts', 'c1', 'lxc', 'log');
    const log = (): Stats =>
      statSync(
        join(
          folder,
          readdirSync(folder).find((name) => name.startsWith('endless-'))!,
        ),
      );
    const mib = 1024 ** 2;
    await eventually(() => log().size > 5 * mib, true, { timeoutMs: 120_000 });
    await stack.restartDriver('c1');
    rmSync(join(root, 'again'));
    const boots = (): number => readFileSync(join(root, 'boots'), 'utf8').length;
    const told = async (): Promise<number> =>
      (await stack.events(bus, uuid)).filter((event) => event.class === 'reboot').length;
    await eventually(async () => (await told()) - boots(), -1);
    // What is in a hole takes no blocks of 512 bytes (stat(2)).
    await eventually(() => log().blocks * 512 < 3 * mib, true);
    await stack.restartDriver('c1');
    expect((await told()) - boots()).toBe(-1);
    await call(bus, destroyDomain, {}, { target: uuid });
    expect(stack.containerPids()).toEqual([]);
  },
  180_000,
);

/** Cgroups of containers, of whichever test: there are none when no container runs. */
function leftCgroups(): string[] {
  return cgroupMounts()
    .map((mount) => join(mount, 'virtbus-lxc'))
    .filter(existsSync)
    .flatMap((folder) =>
      readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && all().some((name) => entry.name.endsWith(name)))
        .map((entry) => join(folder, entry.name)),
    );
}

/** Names of this stack's run folders. */
const all = (): string[] => readdirSync(stack.folder.file('r/c1/lxc'));
