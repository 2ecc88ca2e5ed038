/**
 * Images below the active one, open for writing for as long as something is changed in them.
 *
 * QEMU opens their files anew for that, as the user that it runs as: until then that user may only read them.
 */
import { imageReopen, type Disk } from '@virtbus/domain-xml';
import type { QemuGuest } from '../guest';
import { filesAt, lendFiles, onlyRead } from './files';
import { reopenData } from './graph';
import { nodeSource, type BlockHost } from './nodes';

/** @param depths of the images, in the order in which they are opened */
export async function whileWritable(
  host: BlockHost,
  guest: QemuGuest,
  disk: Disk,
  depths: readonly number[],
  work: () => Promise<void>,
): Promise<void> {
  const files = filesAt(disk, depths);
  const opened: number[] = [];
  try {
    lendFiles(guest, host.user, files, 'write');
    for (const depth of depths) {
      // Before: to close one that could not be opened does no harm.
      opened.push(depth);
      await reopenData(host, guest, disk, depth, false);
      await reopen(host, guest, disk, depth, false);
    }
    await work();
  } finally {
    for (const depth of opened.reverse()) await close(host, guest, disk, depth);
    onlyRead(guest, host.user, files);
    guest.tellSaved();
  }
}

async function close(host: BlockHost, guest: QemuGuest, disk: Disk, depth: number): Promise<void> {
  try {
    await reopen(host, guest, disk, depth, true);
    await reopenData(host, guest, disk, depth, true);
  } catch (err) {
    guest.log.warn({ err, disk: disk.target.dev, depth }, 'an image below the active one stays open for writing');
  }
}

async function reopen(host: BlockHost, guest: QemuGuest, disk: Disk, depth: number, readOnly: boolean): Promise<void> {
  const { command, arguments: args } = imageReopen(nodeSource(host, guest), disk, depth, readOnly);
  await guest.askRaw(command, args);
}
