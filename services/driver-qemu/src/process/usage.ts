/**
 * What a guest's process uses of the host: processor time and memory, read from /proc.
 */
import { readProc, readStat } from '@virtbus/driver-runtime';

/** The kernel reports times to user space in hundredths of a second on every Linux architecture (USER_HZ). */
const NS_PER_TICK = 10_000_000;

export interface ProcessUsage {
  readonly cpuTimeNs: number;
  readonly userTimeNs: number;
  readonly systemTimeNs: number;
  /** Resident memory in bytes. */
  readonly rssBytes: number;
  readonly threads: number;
}

/** Use of a whole process; undefined when it is gone. */
export function readUsage(pid: number): ProcessUsage | undefined {
  const stat = readStat(pid);
  const status = readProc(`/proc/${pid}/status`);
  if (!stat || status === undefined) return undefined;
  const rssKib = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0);
  return {
    cpuTimeNs: (stat.userTicks + stat.systemTicks) * NS_PER_TICK,
    userTimeNs: stat.userTicks * NS_PER_TICK,
    systemTimeNs: stat.systemTicks * NS_PER_TICK,
    rssBytes: rssKib * 1024,
    threads: stat.threads,
  };
}

/** Processor time of one thread, such as a vCPU's (`thread-id` of query-cpus-fast); undefined when it is gone. */
export function readThreadCpuTimeNs(pid: number, threadId: number): number | undefined {
  const stat = readStat(threadId, `/proc/${pid}/task/${threadId}/stat`);
  return stat && (stat.userTicks + stat.systemTicks) * NS_PER_TICK;
}
