/**
 * The process that stands above a container: one `lxc-start -F` each, in a session of its own, so that it outlives us.
 *
 * It inherits a listening unix socket as its standard input and never accepts on it: a connection to that socket ends when
 * the supervisor does, which is how its end is noticed at once, also by a later process of ours whose child it is not.
 */
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { identify, isSame, withInheritedListener, type ProcessIdentity } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';

export interface Supervisor {
  readonly identity: ProcessIdentity;
  /** Resolves when the process is gone. Never rejects. */
  readonly exited: Promise<void>;
}

export interface LaunchOptions {
  /** Path of `lxc-start`. */
  program: string;
  args: readonly string[];
  /** Ours alone; must exist. */
  folder: string;
  /** Its output goes here. */
  logFd: number;
  /** Called right after the spawn. */
  onSpawned: (identity: ProcessIdentity) => void;
}

const alivePath = (folder: string): string => join(folder, 'alive.sock');

export async function launchSupervisor(options: LaunchOptions): Promise<Supervisor> {
  return withInheritedListener(alivePath(options.folder), (fd) => {
    const child = spawn(options.program, options.args, {
      cwd: '/',
      detached: true,
      env: { LC_ALL: 'C', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: options.folder },
      stdio: [fd, options.logFd, options.logFd],
    });
    child.unref();
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    if (child.pid === undefined) throw new VirtError('SYSTEM_ERROR', { detail: `cannot run ${options.program}` });
    const identity = identify(child.pid);
    // It has had its say and ended before we looked: its log tells why.
    if (!identity) return { identity: { pid: child.pid, startTime: 0, exe: options.program }, exited };
    try {
      options.onSpawned(identity);
    } catch (error) {
      // What cannot be written down must not be.
      child.kill('SIGKILL');
      throw error;
    }
    return { identity, exited };
  });
}

/** Follow a supervisor that an earlier process of ours has started. */
export function adoptSupervisor(identity: ProcessIdentity, folder: string): Supervisor {
  return { identity, exited: endOfConnection(alivePath(folder)).then(() => confirmedGone(identity)) };
}

/** Resolves when there is no connection to be had, or no longer. */
function endOfConnection(path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.unref();
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
  });
}

/** The socket closes a moment before the process is gone; look often at first, then rarely. */
async function confirmedGone(identity: ProcessIdentity): Promise<void> {
  for (let pauseMs = 1; isSame(identity); pauseMs = Math.min(pauseMs * 2, 250)) {
    await delay(pauseMs, undefined, { ref: false });
  }
}
