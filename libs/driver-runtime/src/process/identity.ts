/**
 * Who a process is, so that a signal never reaches a stranger that was given a dead guest's pid.
 *
 * The kernel's start time together with the pid is unique until the next boot; the program's path guards across boots.
 */
import { readFileSync, readlinkSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot: field 22 of /proc/PID/stat. */
  readonly startTime: number;
  /** The program that runs; empty when we may not read it. */
  readonly exe: string;
}

/** The fields of /proc/PID/stat that we read, times in clock ticks. */
export interface ProcessStat {
  /** R running, S sleeping, D in the kernel, T stopped, t traced, Z zombie, X dead. */
  readonly state: string;
  readonly userTicks: number;
  readonly systemTicks: number;
  readonly threads: number;
  readonly startTime: number;
}

/** /proc/PID/stat of a process (or, with `path`, of a thread); undefined when there is none. */
export function readStat(pid: number, path = `/proc/${pid}/stat`): ProcessStat | undefined {
  const text = readProc(path);
  if (text === undefined) return undefined;
  // The second field is the program's name in parentheses and may hold anything, parentheses and spaces included.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3]);
  return {
    state: fields[0]!,
    userTicks: field(14),
    systemTicks: field(15),
    threads: field(20),
    startTime: field(22),
  };
}

/** Text of a file under /proc; undefined when its process is gone. */
export function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The identity of a live process; undefined when there is none (a zombie counts as none). */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  if (!stat || isDead(stat)) return undefined;
  return { pid, startTime: stat.startTime, exe: readExe(pid) };
}

/** Whether the process of that identity still lives. */
export function isSame(identity: ProcessIdentity): boolean {
  const now = identify(identity.pid);
  if (!now || now.startTime !== identity.startTime) return false;
  return now.exe === identity.exe || now.exe === '' || identity.exe === '';
}

/**
 * Signals the process of that identity, and no other.
 * @returns false when it is gone. Throws when we may not signal it (EPERM).
 */
export function kill(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isSame(identity)) return false;
  try {
    return process.kill(identity.pid, signal);
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

function isDead(stat: ProcessStat): boolean {
  return stat.state === 'Z' || stat.state === 'X';
}

/** The running program's path. After an upgrade the kernel appends ` (deleted)` to it: still the same process. */
function readExe(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '');
  } catch {
    return '';
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '');
}
