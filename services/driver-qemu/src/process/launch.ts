/**
 * Starts one QEMU so that it outlives us: own session, nothing of ours open but what it is given, its log a file.
 *
 * The launch is over when QEMU has answered its first QMP command, that is when the machine is built (the greeting comes
 * earlier). If it ends before, the error says why in QEMU's own words.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GuestLog, identify, withInheritedListener, type ProcessIdentity } from '@virtbus/driver-runtime';
import { MonitorClosed, QmpClient } from '../qmp';
import { exitOf, type ExitStatus, type GuestProcess } from './guest-process';

/** The descriptor of the listening monitor socket in QEMU: `-chardev socket,id=charmonitor,fd=3,server=on,wait=off`. */
export const MONITOR_FD = 3;
/** The number in QEMU of the first of `inherit`; the others follow. */
export const FIRST_INHERITED_FD = 4;

/** How long a QEMU that hung up may take to be gone. */
const EXIT_GRACE_MS = 1_000;

export interface LaunchOptions {
  emulator: string;
  args: readonly string[];
  /** The guest's private directory: becomes HOME and XDG_*; must exist. */
  directory: string;
  /** What the guest's definition adds to its environment. */
  env?: Readonly<Record<string, string>>;
  /** Where the monitor can be reached later; only by our own user. */
  monitorPath: string;
  logPath: string;
  /** Further descriptors of ours that QEMU gets, numbered from FIRST_INHERITED_FD. They stay open here. */
  inherit?: readonly number[];
  /** Run as this user (needs root); supplementary groups are dropped. */
  user?: { uid: number; gid: number };
  /** Mode bits to take from files that QEMU creates; default 0o007. */
  umask?: number;
  /** Until the machine is built; default 30 s. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** It ends with us, however we end: for a QEMU that is asked what it can do and has no guest. */
  mortal?: boolean;
  /** Called right after the spawn, long before QEMU answers. `exe` is still the wrapper's where the emulator is a script. */
  onSpawned?: (identity: ProcessIdentity) => void;
}

export interface Launched {
  process: GuestProcess;
  qmp: QmpClient;
  /** What QEMU has written to its log since this launch: its end, at most 4 KiB. */
  lastWords: () => string;
}

/** QEMU did not come up. The message ends with what QEMU wrote. */
export class LaunchError extends Error {
  override readonly name = 'LaunchError';
}

/** @throws LaunchError; the signal's reason. Nothing of the attempt is left but its log. */
export async function launch(options: LaunchOptions): Promise<Launched> {
  using log = GuestLog.open(options.logPath, header(options));
  options.signal?.throwIfAborted();
  const { child, exited, spawnError } = await withInheritedListener(options.monitorPath, (fd) =>
    start(options, log.fd, fd),
  );
  try {
    if (child.pid === undefined) throw new LaunchError(`cannot run ${options.emulator}: ${(await spawnError).message}`);
    const qmp = await QmpClient.connect(options.monitorPath, {
      timeoutMs: options.timeoutMs ?? 30_000,
      ...(options.signal && { signal: options.signal }),
    });
    // Anew: an emulator that is a wrapper script has become QEMU since.
    const identity = identify(child.pid);
    if (!identity) throw new Error('QEMU has ended as soon as it answered');
    return { process: { identity, exited }, qmp, lastWords: () => log.tail() };
  } catch (error) {
    await rm(options.monitorPath, { force: true });
    if (error instanceof LaunchError) throw error;
    const exit = await endOf(child, exited, error instanceof MonitorClosed ? EXIT_GRACE_MS : 0);
    options.signal?.throwIfAborted();
    const words = log.tail();
    throw new LaunchError(explain(error, exit, words), { cause: error });
  }
}

interface Started {
  child: ChildProcess;
  exited: Promise<ExitStatus>;
  /** Settles only if the program could not be run. */
  spawnError: Promise<Error>;
}

type End = ExitStatus & { killed: boolean };

/** Synchronous, so that nothing else of ours runs under the child's umask. */
function start(options: LaunchOptions, logFd: number, monitorFd: number): Started {
  const umask = process.umask(options.umask ?? 0o007);
  try {
    const [program, ...args] = options.mortal
      ? mortalCommand(options.emulator, options.args)
      : [options.emulator, ...options.args];
    const child = spawn(program!, args, {
      cwd: '/',
      detached: true,
      env: { ...environment(options.directory), ...options.env },
      stdio: ['ignore', logFd, logFd, monitorFd, ...(options.inherit ?? [])],
      ...options.user,
    });
    child.unref();
    tellSpawned(child, options);
    return { child, exited: exitOf(child), spawnError: new Promise((resolve) => child.once('error', resolve)) };
  } finally {
    process.umask(umask);
  }
}

/** The kernel kills the program when our process is gone (prctl(2), PR_SET_PDEATHSIG). */
export function mortalCommand(program: string, args: readonly string[]): string[] {
  return ['setpriv', '--pdeathsig', 'KILL', '--', program, ...args];
}

/** In the turn of the spawn. A process that cannot be written down must not be. */
function tellSpawned(child: ChildProcess, { onSpawned }: LaunchOptions): void {
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  try {
    if (identity) onSpawned?.(identity);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

/** Nothing of our own environment reaches the guest's process but what programs need to run at all. */
function environment(directory: string): NodeJS.ProcessEnv {
  const kept = ['PATH', 'LD_LIBRARY_PATH', 'USER', 'LOGNAME', 'TMPDIR'].flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]] as const],
  );
  return {
    LC_ALL: 'C',
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ...Object.fromEntries(kept),
    HOME: directory,
    XDG_DATA_HOME: join(directory, '.local/share'),
    XDG_CACHE_HOME: join(directory, '.cache'),
    XDG_CONFIG_HOME: join(directory, '.config'),
  };
}

/** The exit that explains a lost monitor; a QEMU that is merely silent is killed. */
async function endOf(child: ChildProcess, exited: Promise<ExitStatus>, graceMs: number): Promise<End> {
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  const exit = await exited;
  clearTimeout(timer);
  return { ...exit, killed: child.killed };
}

function explain(error: unknown, exit: End, words: string): string {
  if (exit.killed) return [`${(error as Error).message}; QEMU was killed`, words].filter(Boolean).join(': ');
  const status = exit.signal ? `killed by ${exit.signal}` : `exit status ${exit.code}`;
  return `process exited while connecting to monitor: ${words || status}`;
}

function header({ emulator, args }: LaunchOptions): string {
  const quote = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
  return `${new Date().toISOString()}: starting up: ${[emulator, ...args].map(quote).join(' ')}`;
}
