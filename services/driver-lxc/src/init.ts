/**
 * Process 1 of a container, as this host knows it.
 *
 * One that has ended is in the kernel until the last process of its namespace has gone (pid_namespaces(7); Linux,
 * zap_pid_ns_processes): asleep to look at, but with no memory, no mounts and no ear for signals. It counts as gone.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { identify, isSame, type ProcessIdentity } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';

/**
 * Undefined when there is none of that number, it is on its way out, or it is no process of the container: whatever its log says,
 * nobody else is sent its signals.
 * @param payload the container's cgroup, below each hierarchy's root
 */
export function findInit(pid: number, payload: string): ProcessIdentity | undefined {
  return isDying(pid) || !isIn(pid, payload) ? undefined : identify(pid);
}

function isIn(pid: number, cgroup: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8').replaceAll('\n', '/\n').includes(`/${cgroup}/`);
  } catch {
    return false;
  }
}

/** It runs, and the same program. */
export const isUp = (init: ProcessIdentity): boolean => isSame(init) && !isDying(init.pid);

/** Without memory a process has no program either; kernel threads are no init. */
function isDying(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/exe`);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** Why nothing can be asked of it: it has ended, or the container is between two boots. */
export const noInit = (cause?: unknown): VirtError =>
  new VirtError('OPERATION_INVALID', { detail: 'Init process ID is not yet known' }, { cause });

/** What is read of an init, or sent to it, where that may end at any moment. Throws `OPERATION_INVALID` when it has. */
export function ofInit<T>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    // Its folder in /proc is gone, what it saw mounted is, or it is.
    if (['ENOENT', 'EINVAL', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw noInit(error);
    throw error;
  }
}
