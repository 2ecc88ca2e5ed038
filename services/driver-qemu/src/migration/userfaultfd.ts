/**
 * Post-copy needs the kernel to hand page faults of the guest to the QEMU that takes it in (userfaultfd). Whether it does
 * depends on kernel, user and QEMU version, so a QEMU without a guest is asked, as the user that guests run as.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VirtError } from '@virtbus/shared';
import { launch, MONITOR_FD, terminate } from '../process';
import { QmpError } from '../qmp';
import type { RunUser } from '../run-user';

/** @throws OPERATION_UNSUPPORTED where a guest cannot be taken in by post-copy */
export async function requireUserfaultfd(emulator: string, user: RunUser | undefined): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'virtbus-postcopy-'));
  try {
    const { process, qmp } = await launch({
      emulator,
      args: [
        ...['-S', '-no-user-config', '-nodefaults', '-display', 'none', '-machine', 'none,accel=tcg'],
        ...['-incoming', 'defer', '-chardev', `socket,id=charmonitor,fd=${MONITOR_FD},server=on,wait=off`],
        ...['-mon', 'chardev=charmonitor,id=monitor,mode=control'],
      ],
      ...(user ? { user } : {}),
      mortal: true,
      directory,
      monitorPath: join(directory, 'monitor.sock'),
      logPath: join(directory, 'log'),
    });
    try {
      const capabilities = [{ capability: 'postcopy-ram', state: true }];
      await qmp.execute('migrate-set-capabilities', { capabilities });
    } catch (error) {
      if (!(error instanceof QmpError)) throw error;
      throw new VirtError('OPERATION_UNSUPPORTED', { detail: reason(error.message, user) });
    } finally {
      await terminate(process);
      qmp.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function reason(said: string, user: RunUser | undefined): string {
  const who = user ? `user ${user.name}` : 'the user that guests run as';
  const remedy = 'set vm.unprivileged_userfaultfd=1 with sysctl on the target host, or migrate without post-copy';
  return `post-copy is not possible on this host, because ${who} cannot use the kernel's userfaultfd (QEMU: ${said}); ${remedy}`;
}
