/**
 * A guest that stayed paused while its memory was written, for a snapshot or by a migration that was taken back: QEMU writes
 * it no second time before the guest has run (`Can't migrate the vm that was paused due to previous migration`), and no
 * command but `cont` makes it.
 */
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from './guest';

export async function isWrittenOut(guest: QemuGuest, signal?: AbortSignal): Promise<boolean> {
  return (await guest.ask('query-status', undefined, signal)).status === 'postmigrate';
}

/** @throws OPERATION_INVALID for a guest whose memory QEMU would not write now */
export async function refuseWrittenOut(guest: QemuGuest, signal?: AbortSignal): Promise<void> {
  if (guest.state.state === 'running' || !(await isWrittenOut(guest, signal))) return;
  const detail =
    `the memory of domain '${guest.live.name}' was written while it was paused (by a snapshot, or a migration that was taken back), ` +
    'and QEMU writes it again only once the guest has run: resume it first';
  throw new VirtError('OPERATION_INVALID', { detail });
}
