/**
 * A QEMU machine with nothing in it, in a folder of its own: what tests and measurements of this package start.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type QmpClient } from '../qmp';
import { type GuestProcess } from './guest-process';
import { launch, MONITOR_FD, type LaunchOptions } from './launch';
import { terminate } from './terminate';

export const SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

/** Launch options for a paused, empty q35 machine of 64 MiB under TCG. */
export function bareGuestOptions(directory: string, extraArgs: readonly string[] = []): LaunchOptions {
  return {
    emulator: 'qemu-system-x86_64',
    args: [
      ...['-S', '-no-user-config', '-nodefaults', '-display', 'none', '-no-shutdown'],
      ...['-machine', 'q35', '-accel', 'tcg', '-m', '64', '-sandbox', SANDBOX],
      ...['-chardev', `socket,id=charmonitor,fd=${MONITOR_FD},server=on,wait=off`],
      ...['-mon', 'chardev=charmonitor,id=monitor,mode=control'],
      ...extraArgs,
    ],
    directory,
    monitorPath: join(directory, 'monitor.sock'),
    logPath: join(directory, 'guest.log'),
  };
}

export class BareGuest implements AsyncDisposable {
  private constructor(
    readonly directory: string,
    readonly process: GuestProcess,
    readonly qmp: QmpClient,
    readonly lastWords: () => string,
  ) {}

  static async start(extraArgs: readonly string[] = [], options: Partial<LaunchOptions> = {}): Promise<BareGuest> {
    const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'guest-'));
    const { process, qmp, lastWords } = await launch({ ...bareGuestOptions(directory, extraArgs), ...options });
    return new BareGuest(directory, process, qmp, lastWords);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await terminate(this.process, { escalateAfterMs: 500 });
    this.qmp.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
