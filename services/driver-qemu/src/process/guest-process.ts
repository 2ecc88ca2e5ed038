/**
 * A guest's QEMU process, whether we started it or found it after our own restart.
 *
 * Ours to start: the kernel tells us when it ends. Adopted: it is not our child, so the end of its monitor socket is the
 * notice, and /proc confirms it.
 */
import { type ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { type QmpClient } from '../qmp';
import { isSame, type ProcessIdentity } from '@virtbus/driver-runtime';

/** How it ended; both null when it was adopted, whose exit status goes to another parent. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface GuestProcess {
  readonly identity: ProcessIdentity;
  /** Resolves when the process is gone. Never rejects. */
  readonly exited: Promise<ExitStatus>;
}

/** The exit of a child of ours. Call it in the tick of the spawn. */
export function exitOf(child: ChildProcess): Promise<ExitStatus> {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
}

/**
 * Follows a process that is not our child.
 * @param qmp its monitor: /proc is looked at only after that has ended. Without one, four times a second.
 */
export function adopt(identity: ProcessIdentity, qmp?: QmpClient): GuestProcess {
  const monitorEnd = new Promise<void>((resolve) => {
    if (!qmp || qmp.isClosed) resolve();
    else qmp.once('close', () => resolve());
  });
  return { identity, exited: monitorEnd.then(() => confirmExit(identity)) };
}

/** QEMU closes its monitor a few milliseconds before it is gone: look often at first, then rarely. */
async function confirmExit(identity: ProcessIdentity): Promise<ExitStatus> {
  for (let pauseMs = 1; isSame(identity); pauseMs = Math.min(pauseMs * 2, 250)) {
    await delay(pauseMs, undefined, { ref: false });
  }
  return { code: null, signal: null };
}
