/** Freezing and thawing a container's cgroup, with its processes wherever they are below it. */
import { setTimeout as delay } from 'node:timers/promises';
import { VirtError } from '@virtbus/shared';
import type { ContainerCgroup } from './cgroups';

/** How long all processes may take to stop where they are, milliseconds. */
const patienceMs = 10_000;

/**
 * Throws `OPERATION_INVALID` when it is not up any more: a cgroup without processes is frozen at once, and goes with the boot that
 * it was made for; `OPERATION_FAILED` when a process does not stop. All goes on then.
 * @param isUp that which is to be frozen is there
 */
export async function freeze(
  cgroup: ContainerCgroup,
  signal?: AbortSignal,
  isUp: () => boolean = () => true,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    // Each time: somebody else may have thawed it.
    if (isUp()) set(cgroup, true);
    const frozen = isFrozen(cgroup);
    if (!isUp() || !cgroup.isThere('freezer')) {
      if (cgroup.isThere('freezer')) set(cgroup, false);
      throw rebooting();
    }
    if (frozen) return;
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

/** It may stand still, or be about to: version 1 goes on freezing on its own once it was told to. */
export function mayBeFrozen(cgroup: ContainerCgroup): boolean {
  if (cgroup.version('freezer') !== 1) return isFrozen(cgroup);
  const state = cgroup.read('freezer', 'freezer.state', 'cgroup.events')?.trim();
  return state !== undefined && state !== 'THAWED';
}

function set(cgroup: ContainerCgroup, frozen: boolean): void {
  try {
    if (cgroup.version('freezer') === 1) cgroup.write('freezer', 'freezer.state', frozen ? 'FROZEN' : 'THAWED');
    else cgroup.write('freezer', 'cgroup.freeze', frozen ? '1' : '0');
  } catch (cause) {
    if (!cgroup.isThere('freezer')) throw rebooting(cause);
    const what = frozen ? 'Suspend' : 'Resume';
    throw new VirtError(
      'OPERATION_FAILED',
      { detail: `${what} operation failed: ${(cause as Error).message}` },
      { cause },
    );
  }
}

/** Its cgroups are those of a boot: they go with it. */
export const rebooting = (cause?: unknown): VirtError =>
  new VirtError('OPERATION_INVALID', { detail: 'the container is rebooting or has ended' }, { cause });
