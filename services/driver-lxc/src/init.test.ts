import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { eventually } from '@virtbus/testkit';
import { power } from './facets/power';
import type { LxcGuest } from './guest';
import { findInit } from './init';
import { mountPoints } from './mounts';

const refused = expect.objectContaining({
  code: 'OPERATION_INVALID',
  message: expect.stringContaining('Init process ID is not yet known') as string,
}) as Error;

/** What is asked of a guest whose init ends as it is being asked. */
async function answers(pid: number): Promise<unknown[]> {
  const guest = { initPid: pid, live: { name: 'c1' } } as unknown as LxcGuest;
  const asked = [
    () => power.shutdown(guest, []),
    () => power.reboot(guest, ['signal']),
    async () => mountPoints(pid),
  ] as const;
  return Promise.all(asked.map((ask) => ask().catch((error: unknown) => error)));
}

test('an init that is gone is one that is not there yet', async () => {
  const { pid } = spawnSync('true');
  expect(findInit(pid, 'virtbus-lxc/none')).toBeUndefined();
  expect(await answers(pid)).toEqual([refused, refused, refused]);
});

test('a process that is none of the container is not its init, whatever its log says', () => {
  const [, own = ''] = /^\d+:[^:]*:\/*(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? [];
  expect(findInit(process.pid, `${own}/virtbus-lxc/none`)).toBeUndefined();
  expect(findInit(1, 'virtbus-lxc/none')).toBeUndefined();
});

test('so is one that has ended and that nobody has waited for', async () => {
  // Its parent is a program that does not wait, once it is that program.
  const parent = spawn('sh', ['-c', 'sleep 600 & echo $!; exec sleep 600'], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [told] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(told.toString());
    await eventually(() => readFileSync(`/proc/${parent.pid}/comm`, 'utf8'), 'sleep\n');
    process.kill(pid, 'SIGKILL');
    await eventually(() => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2], 'Z');
    expect(findInit(pid, 'virtbus-lxc/none')).toBeUndefined();
    expect(await answers(pid)).toEqual([refused, refused, refused]);
  } finally {
    parent.kill('SIGKILL');
  }
});
