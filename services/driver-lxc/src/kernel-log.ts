/** What the kernel's log tells of a container that has ended: its cgroup, and the counters in it, have gone by then. */
import { closeSync, constants, openSync, readSync } from 'node:fs';

/** The kernel gives one record a read, none longer than this, bytes. */
const recordBytes = 8_192;

/**
 * Whether the kernel killed this process for want of memory in a cgroup at or below that path, as it says of itself since Linux
 * 4.19. False where its log cannot be read, or no longer tells.
 * @param cgroup path below whichever group process 1 is in
 */
export function wasKilledForMemory(pid: number, cgroup: string): boolean {
  return records().some((record) => {
    const [, group, killed] = /;oom-kill:.*,task_memcg=(.*),task=.*,pid=(\d+),uid=\d+$/m.exec(record) ?? [];
    return killed === String(pid) && `${group}/`.includes(`/${cgroup}/`);
  });
}

/** All that the kernel still has, the oldest first (Documentation/ABI/testing/dev-kmsg). */
function records(): string[] {
  const found: string[] = [];
  let fd: number;
  try {
    fd = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return found;
  }
  const buffer = Buffer.alloc(recordBytes);
  try {
    for (;;) {
      try {
        found.push(buffer.toString('utf8', 0, readSync(fd, buffer)));
      } catch (error) {
        // A record was overwritten under the reader: it goes on with the oldest that is there. Otherwise that was the last one.
        if ((error as NodeJS.ErrnoException).code !== 'EPIPE') return found;
      }
    }
  } finally {
    closeSync(fd);
  }
}
