/**
 * A guest that stays paused after its memory was written, to a file or to a host that did not take it, writes to its images
 * again: QEMU has left them to whoever takes the guest over, and ends with an assertion when one is changed nevertheless,
 * resized for instance. `cont` takes them back, but lets the guest run. (facts: block-jobs §3)
 */
import { chownSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { QemuGuest } from './guest';
import { isRefusal } from './monitor-failure';
import type { RunUser } from './run-user';
import { isWrittenOut } from './written-out';

/** Nothing to do unless the guest was written out as a whole. What fails is told in the log: the guest itself is as it was. */
export async function activateImages(guest: QemuGuest, user: RunUser | undefined): Promise<void> {
  try {
    if (!(await isWrittenOut(guest))) return;
    try {
      await guest.askRaw('blockdev-set-active', { active: true });
    } catch (error) {
      // Before QEMU 10.0 there is no such command.
      if (!isRefusal(error)) throw error;
      await offerEach(guest, user);
    }
  } catch (err) {
    guest.log.warn({ err }, 'QEMU has not taken the images of a paused guest back; it does when the guest is resumed');
  }
}

/** QEMU takes back what it offers over NBD. Nobody can come to the socket, and each is offered for a moment only. */
async function offerEach(guest: QemuGuest, user: RunUser | undefined): Promise<void> {
  const folder = join(guest.folders.run, 'activate');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  try {
    if (user) chownSync(folder, user.uid, user.gid);
    await guest.askRaw('nbd-server-start', { addr: { type: 'unix', data: { path: join(folder, 'nbd.sock') } } });
    try {
      for (const { inserted } of await guest.ask('query-block')) {
        const node = inserted?.['node-name'];
        if (node === undefined) continue;
        const id = `activate-${node}`;
        await guest.askRaw('block-export-add', { type: 'nbd', id, 'node-name': node, writable: false });
        await guest.askRaw('block-export-del', { id });
      }
    } finally {
      await guest.askRaw('nbd-server-stop');
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
