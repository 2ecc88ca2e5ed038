/** Holding an init where the kernel ends what is left of its container, for tests of what is asked of one meanwhile. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, needsContainers, requirement, type Requirement } from '@virtbus/testkit';
import { catchesInterrupt } from './lxc-rebooting';

const freezer = '/sys/fs/cgroup/freezer';

/** A process that is frozen by version 1 cannot be killed, and an init ends after the last process of its namespace. */
export function needsHeldInit(): Requirement {
  return requirement(
    'containers and the freezer of cgroup version 1',
    () => needsContainers().met && existsSync(join(freezer, 'cgroup.procs')),
  );
}

/** Has an init reboot, and keeps it dying until the handle is disposed of. */
export async function holdRebooting(init: number): Promise<AsyncDisposable> {
  await eventually(() => catchesInterrupt(init), true);
  const group = join(freezer, `virtbus-held-${init}`);
  const state = join(group, 'freezer.state');
  mkdirSync(group);
  // The kernel wants to be forked for a place in another namespace of processes, so the one inside is its child.
  const held = spawn('nsenter', ['-t', String(init), '-p', 'sleep', '777'], { stdio: 'ignore' });
  const exited = once(held, 'exit');
  const letGo = async (): Promise<void> => {
    writeFileSync(state, 'THAWED');
    held.kill('SIGTERM');
    await exited;
    await eventually(() => readFileSync(join(group, 'cgroup.procs'), 'utf8'), '');
    rmdirSync(group);
  };
  try {
    const child = (): string => readFileSync(`/proc/${held.pid}/task/${held.pid}/children`, 'utf8').trim();
    await eventually(child, (pid) => pid !== '');
    writeFileSync(join(group, 'cgroup.procs'), child());
    writeFileSync(state, 'FROZEN');
    await eventually(() => readFileSync(state, 'utf8'), 'FROZEN\n');
    process.kill(init, 'SIGINT');
    await eventually(() => hasProgram(init), false);
  } catch (error) {
    await letGo();
    throw error;
  }
  return { [Symbol.asyncDispose]: letGo };
}

function hasProgram(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/exe`);
    return true;
  } catch {
    return false;
  }
}
