/** What is kept on disk of a running guest, to find it again. Plain JSON. */
import type { ProcessIdentity, SavedGuest } from '@virtbus/driver-runtime';
import type { SavedBackup } from './backup/saved-backup';
import type { JobEnd, SavedJob } from './block-jobs';
import type { PendingDevice } from './pending-device';

export interface SavedQemu extends SavedGuest {
  process: ProcessIdentity;
  /** Files whose owner was changed for the guest, with the owner they had. */
  owners: { path: string; uid: number; gid: number }[];
  /** The number for the next image: above all that were given in this run, also to images that are gone. */
  nextIndex?: number;
  /** The number from which on the overlays of the latest snapshot have theirs. */
  overlaysFrom?: number | undefined;
  /** Images whose write threshold was set by number, by that number. */
  numberedThresholds?: number[];
  /** The jobs on its images, from before QEMU hears of them until their end has been told. */
  blockJobs?: SavedJob[];
  /** How jobs ended that commands have ended, the last few: what those are answered when they are given again. */
  endedJobs?: { by: string; end: JobEnd }[];
  /** The backup that runs. */
  backup?: SavedBackup | undefined;
  /** A device that QEMU is being given; the document has it when it has. */
  joining?: PendingDevice | undefined;
  /** A drive that is being given another medium; the document has it when the drive has. */
  changing?: PendingDevice | undefined;
  /** Devices that have left the guest and its document, and what stood behind them has not. */
  leaving?: PendingDevice[] | undefined;
  /** Its file systems may be frozen. */
  frozen?: true | undefined;
  /** Its QEMU knows `backing-mask-protocol`: its images were opened accordingly. */
  masksProtocol?: boolean;
  /**
   * What a migration has changed in QEMU: parameters as they were, targets of disks that are copied. Whom the files
   * belong to that the target takes over, and the source has left to it.
   */
  migration?: { parameters: Record<string, unknown>; copies?: string[]; owners?: SavedQemu['owners'] };
}
