/** Commands that are on their way into a container while it reboots: it comes back whatever becomes of them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { destroyDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, isAlive, needsContainers, Stack } from '@virtbus/testkit';
import { kindsOfContainers, shownInside } from './lxc-command';
import { beginReboot, reboot } from './lxc-rebooting';

const containers = needsContainers();

describe.each(kindsOfContainers)('%s', (_kind, subIds) => {
  let stack: Stack;
  let bus: Bus;
  let uuid: string;
  const init = (): number => stack.containerInit(uuid);
  const answers = (): Promise<unknown> => eventually(() => shownInside(bus, uuid, 'echo', 'up'), 'up\n');

  beforeAll(async () => {
    if (!containers.met) return;
    stack = await Stack.start({ hosts: [], lxcHosts: ['c1'], env: { VIRTBUS_LXC_SUBIDS: subIds } });
    bus = await stack.connect();
  }, 60_000);
  beforeEach(async () => {
    if (!containers.met) return;
    ({ uuid } = await stack.runContainer(bus, { name: `busy${Math.random().toString(36).slice(2, 8)}` }));
    await stack.consoleShows(bus, uuid, 'tiny-rootfs: booted');
  }, 60_000);
  afterEach(async () => {
    if (containers.met) await call(bus, destroyDomain, {}, { target: uuid });
  });
  afterAll(async () => stack?.[Symbol.asyncDispose]());

  containers.test(
    'a process that has come no further than its cgroup is ended, and does not keep it from booting again',
    async () => {
      for (const isAway of [false, true]) {
        const before = init();
        const late = spawn('sleep', ['777'], { stdio: 'ignore' });
        const exited = once(late, 'exit');
        for (const group of cgroupsOf(before)) writeFileSync(join(group, 'cgroup.procs'), String(late.pid));
        await (isAway ? stack.restartDriver('c1', () => reboot(stack, uuid)) : reboot(stack, uuid));
        await answers();
        expect(init()).not.toBe(before);
        expect((await exited)[1]).toBe('SIGKILL');
      }
    },
    120_000,
  );

  containers.test(
    'it comes back each time, however many commands it is given meanwhile, by us and by others',
    async () => {
      const [, path, name] = /-P (\S+) -n (\S+)/.exec(
        readFileSync(`/proc/${stack.supervisorOf(uuid)}/cmdline`, 'utf8').replaceAll('\0', ' '),
      )!;
      let over = false;
      const givingCommands = async (give: () => Promise<unknown>): Promise<void> => {
        while (!over) await give().catch(() => undefined);
      };
      const byOthers = async (): Promise<void> => {
        const child = spawn('lxc-attach', ['-P', path!, '-n', name!, '--', 'true'], { stdio: 'ignore' });
        const exited = once(child, 'exit');
        // One that has met a boot's end may wait for ever.
        const boot = init();
        await eventually(() => child.exitCode !== null || child.signalCode !== null || !isAlive(boot), true);
        child.kill('SIGKILL');
        await exited;
      };
      const given = [() => shownInside(bus, uuid, 'true'), byOthers, byOthers, byOthers].map(givingCommands);
      try {
        for (let round = 1; round <= 15; round++) {
          const before = init();
          await beginReboot(before);
          await eventually(() => isAlive(before), false);
          await eventually(() => [stack.containerPids().length, init() !== before], [1, true]);
        }
      } finally {
        over = true;
        await Promise.all(given);
      }
      await answers();
    },
    120_000,
  );
});

/** Folders of the cgroups that a process is in. */
function cgroupsOf(pid: number): string[] {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
  return lines.flatMap((line) => {
    const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line)!;
    const mounts = names === '' ? ['', 'unified'] : [names!.replace('name=', '')];
    return mounts
      .map((mount) => join('/sys/fs/cgroup', mount, path!))
      .filter((folder) => existsSync(join(folder, 'cgroup.procs')))
      .slice(0, 1);
  });
}
