/** What /proc tells about processes: enough to find the children of one and to know one again. */
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessEntry {
  pid: number;
  parent: number;
  /** One letter: R, S, T (stopped), Z (ended, not yet collected), … */
  state: string;
  /** Clock ticks after boot: together with the pid it names one process for ever. */
  startTime: number;
  command: string;
}

/** The process with this pid, or undefined when there is none (a zombie is one still). */
export function processEntry(pid: number): ProcessEntry | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', parent, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return { pid, parent: Number(parent), state, startTime: Number(fields[17]), command };
  } catch {
    return undefined; // it ended while we looked
  }
}

/** True while the process works or could: a zombie does not. */
export function isAlive(pid: number): boolean {
  const entry = processEntry(pid);
  return entry !== undefined && entry.state !== 'Z';
}

/** Children of a process, their children and so on. */
export function descendants(pid: number): ProcessEntry[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processEntry(Number(name)) ?? []);
  const below = (parent: number): ProcessEntry[] =>
    all.filter((entry) => entry.parent === parent).flatMap((entry) => [entry, ...below(entry.pid)]);
  return below(pid);
}

/** Those of the entries that still run as the same process. */
export function survivors(entries: readonly ProcessEntry[]): ProcessEntry[] {
  return entries.filter((entry) => isAlive(entry.pid) && processEntry(entry.pid)?.startTime === entry.startTime);
}

export const commandLine = (pid: number): string => read(pid, 'cmdline');
export const environment = (pid: number): string => read(pid, 'environ');

/** A file of /proc/PID; empty when the process is gone. */
function read(pid: number, file: 'cmdline' | 'environ'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

/** Processor time of a process in clock ticks: fields 14 and 15 of /proc/PID/stat. */
export function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

/** Kills a process that is none of our children. */
export function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
