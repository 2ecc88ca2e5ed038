/** Freezing and thawing a container's cgroup, with its processes wherever they are below it. */
import { setTimeout as delay } from 'node:timers/promises';
import { VirtError } from '@virtbus/shared';
import type { ContainerCgroup } from './cgroups';

/** How long all processes may take to stop where they are, milliseconds. */
const patienceMs = 10_000;

export async function freeze(cgroup: ContainerCgroup, signal?: AbortSignal): Promise<void> {
  set(cgroup, true);
  const deadline = performance.now() + patienceMs;
  for (let pauseMs = 1; !isFrozen(cgroup); pauseMs = Math.min(pauseMs * 2, 50)) {
    if (performance.now() < deadline && !signal?.aborted) {
      await delay(pauseMs);
      continue;
    }
    set(cgroup, false);
    throw new VirtError('OPERATION_FAILED', {
      detail: 'Suspend operation failed: a process of the container does not stop; it goes on',
    });
  }
}

export function thaw(cgroup: ContainerCgroup): void {
  set(cgroup, false);
}

export function isFrozen(cgroup: ContainerCgroup): boolean {
  const text = cgroup.read('freezer', 'freezer.state', 'cgroup.events') ?? '';
  return cgroup.version('freezer') === 1 ? text.trim() === 'FROZEN' : /^frozen 1$/m.test(text);
}

function set(cgroup: ContainerCgroup, frozen: boolean): void {
  try {
    if (cgroup.version('freezer') === 1) cgroup.write('freezer', 'freezer.state', frozen ? 'FROZEN' : 'THAWED');
    else cgroup.write('freezer', 'cgroup.freeze', frozen ? '1' : '0');
  } catch (cause) {
    const what = frozen ? 'Suspend' : 'Resume';
    throw new VirtError(
      'OPERATION_FAILED',
      { detail: `${what} operation failed: ${(cause as Error).message}` },
      { cause },
    );
  }
}
