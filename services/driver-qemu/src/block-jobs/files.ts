/** Files of images on the host: lent to the guest's user while a job needs them, given back when nothing does. */
import { diskImages, type Disk } from '@virtbus/domain-xml';
import type { QemuGuest } from '../guest';
import { neededFiles } from '../files';
import { deviceOf } from '../pending-device';
import { giveBack, lend, type RunUser } from '../run-user';

/** Local files of the images at these depths of a disk. */
export function filesAt(disk: Disk, depths: readonly number[]): string[] {
  const images = diskImages(disk);
  return depths.flatMap((depth) => {
    const { source } = images[depth]!;
    const data = source.dataStore?.source;
    return [source.file ?? source.dev, data?.file ?? data?.dev].filter((path) => path !== undefined);
  });
}

/** Lend files for a job that is written down: its end gives them back. */
export function lendFiles(
  guest: QemuGuest,
  user: RunUser | undefined,
  paths: readonly string[],
  need: 'read' | 'write',
): void {
  for (const path of paths) {
    const owner = lend(path, user, need);
    if (owner) guest.saved.owners.push(owner);
  }
  guest.tellSaved();
}

/** Files that neither the document, nor a device on its way into it, nor a job needs any longer return to their owners. */
export function returnFiles(guest: QemuGuest): void {
  const { joining, changing, blockJobs = [], owners } = guest.saved;
  const coming = [joining, changing].flatMap((one) => (one && deviceOf(one)?.domain) ?? []);
  const needed = new Set([
    ...[guest.live, ...coming].flatMap((document) => neededFiles(document).map(({ path }) => path)),
    ...blockJobs.flatMap(({ files }) => files),
  ]);
  const idle = owners.filter(({ path }) => !needed.has(path));
  guest.saved.owners = guest.saved.owners.filter((owner) => !idle.includes(owner));
  giveBack(idle, guest.log);
}

/** Files that were written to are only read from now on: the guest's user keeps what it needs for that. */
export function onlyRead(guest: QemuGuest, user: RunUser | undefined, paths: readonly string[]): void {
  const lent = guest.saved.owners.filter(({ path }) => paths.includes(path));
  guest.saved.owners = guest.saved.owners.filter((owner) => !lent.includes(owner));
  giveBack(lent, guest.log);
  for (const { path } of lent) {
    const owner = lend(path, user, 'read');
    if (owner) guest.saved.owners.push(owner);
  }
}
