/** Ending real QEMU processes, and knowing them again. */
import { spawn } from 'node:child_process';
import { BareGuest } from './bare-guest';
import { adopt } from './guest-process';
import { identify, isSame, kill, readStat } from '@virtbus/driver-runtime';
import { terminate } from './terminate';
import { readThreadCpuTimeNs, readUsage } from './usage';

test('SIGTERM ends a responsive guest, after its last words on the monitor', async () => {
  await using guest = await BareGuest.start();
  const shutdown = guest.qmp.nextEvent('SHUTDOWN');
  await expect(terminate(guest.process, { graceful: true })).resolves.toEqual({ code: 0, signal: null });
  await expect(shutdown).resolves.toMatchObject({ data: { guest: false, reason: 'host-signal' } });
  expect(isSame(guest.process.identity)).toBe(false);
});

test('a stopped guest is killed at once, unless only grace is allowed', async () => {
  await using guest = await BareGuest.start();
  const { identity } = guest.process;
  kill(identity, 'SIGSTOP');
  await until(() => readStat(identity.pid)?.state === 'T');
  await expect(terminate(guest.process, { graceful: true, gracefulMs: 50 })).rejects.toThrow(
    `Failed to terminate process ${identity.pid} with SIGTERM`,
  );
  await expect(terminate(guest.process)).resolves.toEqual({ code: null, signal: 'SIGKILL' });
});

test('a guest that ignores SIGTERM is killed after the time allowed', async () => {
  const child = spawn('/bin/sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done'], { stdio: 'pipe' });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  );
  const ended = terminate({ identity: identify(child.pid!)!, exited }, { escalateAfterMs: 50 });
  await expect(ended).resolves.toEqual({ code: null, signal: 'SIGKILL' });
});

test('the end of an adopted guest is noticed through its monitor', async () => {
  await using guest = await BareGuest.start();
  const adopted = adopt(guest.process.identity, guest.qmp);
  await expect(terminate(adopted)).resolves.toEqual({ code: null, signal: null });
  expect(isSame(guest.process.identity)).toBe(false);
});

test('the end of an adopted guest without a monitor is noticed too', async () => {
  await using guest = await BareGuest.start();
  const adopted = adopt(guest.process.identity);
  process.kill(guest.process.identity.pid, 'SIGKILL');
  await expect(adopted.exited).resolves.toEqual({ code: null, signal: null });
});

test('a signal never reaches another process with the same pid', async () => {
  await using guest = await BareGuest.start();
  const { identity } = guest.process;
  expect(kill({ ...identity, startTime: identity.startTime - 1 }, 'SIGKILL')).toBe(false);
  expect(kill({ ...identity, exe: '/usr/bin/other' }, 'SIGKILL')).toBe(false);
  expect(isSame(identity)).toBe(true);
  await terminate(guest.process);
  expect(kill(identity, 'SIGTERM')).toBe(false);
  expect(readUsage(identity.pid)).toBeUndefined();
  expect(identify(identity.pid)).toBeUndefined();
});

test('use of processor and memory is read per process and per thread', async () => {
  await using guest = await BareGuest.start();
  const [cpu] = await guest.qmp.execute('query-cpus-fast');
  await guest.qmp.execute('cont');
  const { pid } = guest.process.identity;
  await until(() => readThreadCpuTimeNs(pid, cpu!['thread-id'])! > 0);
  const usage = readUsage(pid)!;
  expect(usage.cpuTimeNs).toBe(usage.userTimeNs + usage.systemTimeNs);
  expect(usage.cpuTimeNs).toBeGreaterThan(0);
  expect(usage.rssBytes).toBeGreaterThan(8 * 1024 * 1024);
  expect(usage.threads).toBeGreaterThan(1);
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('the awaited state did not come within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
