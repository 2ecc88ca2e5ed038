/**
 * Another medium for a drive of a running guest. The new one's images are opened before the old one is taken out: where
 * QEMU refuses them the drive has not been touched. From then on all that is done may be done twice, until QEMU answers.
 */
import { isRemovable, isSameMedium, mediumOf, replaceDevice, type Disk, type Medium } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { lendFiles, returnFiles } from '../block-jobs/files';
import { commandLineContext } from '../command-line';
import { filesOfDisk } from '../files';
import type { QemuGuest } from '../guest';
import { numbered } from '../image-numbers';
import { isRefusal } from '../monitor-failure';
import { pendingDevice } from '../pending-device';
import { takeBack, type Undo } from '../undo';
import { untilAnswered } from '../until-known';
import type { DeviceHost } from './devices';
import { isPartOf, limitDisk } from './disks';

/** What a drive changes between. */
interface Change {
  /** The drive's device. */
  id: string;
  old: Medium;
  fresh: Medium;
}

/** Resolves with the drive as it is then, its former medium closed; `changing` stays noted until the document has it. */
export async function changeMedium(
  host: DeviceHost,
  guest: QemuGuest,
  old: Disk,
  asked: Disk,
  signal: AbortSignal,
): Promise<Disk> {
  if (!isRemovable(old)) {
    throw new VirtError('OPERATION_UNSUPPORTED', { detail: `disk ${old.target.dev} has no removable media` });
  }
  const named = { ...asked, alias: old.alias, address: old.address };
  if (isSameMedium(drivesOf(host, guest), old, named)) {
    await limitDisk(guest, named);
    return { ...named, source: old.source, backingStore: old.backingStore };
  }
  const disk = numbered(guest, named);
  const change = changeOf(host, guest, old, disk);
  const undo: Undo = [];
  try {
    undo.push(() => {
      guest.saved.changing = undefined;
      returnFiles(guest);
      guest.tellSaved();
    });
    for (const { path, need } of filesOfDisk(disk)) lendFiles(guest, host.user, [path], need);
    guest.saved.changing = pendingDevice(replaceDevice(guest.live, { list: 'disks', value: disk }), change.id);
    guest.tellSaved();
    undo.push(() => close(guest, change.fresh));
    for (const { command, arguments: args } of change.fresh.steps) await guest.askRaw(command, args, signal);
    undo.push(() => show(guest, change.id, change.old.top));
    await show(guest, change.id, change.fresh.top);
    await limitDisk(guest, disk);
    await close(guest, change.old);
    return disk;
  } catch (thrown) {
    await takeBack(undo, guest.log);
    if (!isRefusal(thrown)) throw VirtError.from(thrown);
    const detail = `drive '${old.target.dev}' keeps what it had: ${(thrown as VirtError<'OPERATION_FAILED'>).details.detail}`;
    throw new VirtError('OPERATION_FAILED', { detail }, { cause: (thrown as Error).cause });
  }
}

/**
 * After a crash of ours in the midst of it: the drive has what it shows, or what it had where it shows nothing yet.
 * @returns whether that is the new medium
 */
export async function settleMedium(
  host: DeviceHost,
  guest: QemuGuest,
  { old, disk }: { old: Disk; disk: Disk },
): Promise<boolean> {
  const { id, ...media } = changeOf(host, guest, old, disk);
  let isIn = false;
  await untilAnswered(guest, async () => {
    isIn = (await shownBy(guest, id)) === media.fresh.top;
  });
  const [stays, goes] = isIn ? [media.fresh, media.old] : [media.old, media.fresh];
  await show(guest, id, stays.top);
  if (isIn) {
    await limitDisk(guest, disk).catch((err: unknown) => {
      guest.log.warn({ err, disk: disk.target.dev }, 'a medium that was being changed is in without its limits');
    });
  }
  await close(guest, goes);
  return isIn;
}

function changeOf(host: DeviceHost, guest: QemuGuest, old: Disk, fresh: Disk): Change {
  const drives = drivesOf(host, guest);
  return { id: old.alias?.name ?? '', old: mediumOf(drives, old), fresh: mediumOf(drives, fresh) };
}

function drivesOf(host: DeviceHost, guest: QemuGuest): Parameters<typeof mediumOf>[0] {
  return {
    domain: guest.live,
    context: commandLineContext(guest.live, guest.folders, host, host.capabilitiesOf(guest)),
  };
}

/** The drive shows this node and its tray is closed; also where a part of that has been done. Throws a refusal. */
async function show(guest: QemuGuest, id: string, top: string | undefined): Promise<void> {
  const isDone = await untilAnswered(guest, async () => {
    if ((await shownBy(guest, id)) !== top) {
      await guest.ask('blockdev-open-tray', { id, force: true });
      await guest.ask('blockdev-remove-medium', { id });
      if (top !== undefined) await guest.ask('blockdev-insert-medium', { id, 'node-name': top });
    }
    await guest.ask('blockdev-close-tray', { id });
  });
  if (!isDone) throw new VirtError('OPERATION_INVALID', { detail: 'domain is not running' });
}

async function shownBy(guest: QemuGuest, id: string): Promise<string | undefined> {
  const drives = await guest.ask('query-block');
  return drives.find(({ qdev }) => isPartOf(id, qdev))?.inserted?.['node-name'];
}

/** What QEMU has open of it is closed; what it does not have is passed over. */
async function close(guest: QemuGuest, { steps }: Medium): Promise<void> {
  for (const { undo } of [...steps].reverse()) {
    try {
      await untilAnswered(guest, () => guest.askRaw(undo.command, undo.arguments));
    } catch (err) {
      if (!isRefusal(err)) throw err;
      guest.log.debug({ err }, 'there was nothing to take away');
    }
  }
}
