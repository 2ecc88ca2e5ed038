/** QEMU without anybody: what its start costs when nothing is managed. */
import { readFileSync, readlinkSync } from 'node:fs';
import { startProcess } from '@virtbus/testkit';
import { type CleanUp } from '../cleanup';
import { QmpMonitor } from './qmp';

export interface BareQemu {
  program: string;
  args: string[];
  /** Path of the monitor. */
  monitor: string;
}

/**
 * The very command line of a guest of ours that runs, with a monitor of its own instead of the inherited one and of that of
 * a `MonitoredEmulator`, which would take our guest's place.
 */
export function bareTwinOf(pid: number, monitor: string): BareQemu {
  const [, ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0$/, '').split('\0');
  const at = args.findIndex((word) => word.startsWith('socket,id=charmonitor,fd='));
  if (at < 0) throw new Error(`the QEMU with pid ${pid} has no inherited monitor: ${args.join(' ')}`);
  args[at] = args[at]!.replace(/fd=\d+/, `path=${monitor}`);
  const second = args.indexOf('-qmp');
  if (second >= 0) args.splice(second, 2);
  return { program: readlinkSync(`/proc/${pid}/exe`), args, monitor };
}

/** Milliseconds from the spawn until QEMU has answered `cont`; the guest is ended again. */
export async function timeBareStart({ program, args, monitor }: BareQemu, cleanUp: CleanUp): Promise<number> {
  const began = performance.now();
  const starting = startProcess([program, ...args]);
  cleanUp.add('a bare QEMU', async () => (await starting).stop('SIGKILL'));
  try {
    const qmp = await QmpMonitor.open(monitor);
    await qmp.execute('cont');
    const ms = performance.now() - began;
    qmp.close();
    return ms;
  } catch (cause) {
    throw new Error(`a bare QEMU does not start: ${(await starting).log.tail()}`, { cause });
  } finally {
    await (await starting).stop('SIGKILL');
  }
}
