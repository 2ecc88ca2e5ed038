/** What differs between pull, commit, copy and backup: what follows on the end of each. */
import type { Disk } from '@virtbus/domain-xml';
import type { BlockJobType } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import type { JobEnd, SavedJob } from './saved-job';

/** What the end of a job changes in the documents. */
export interface Changes {
  /** The live disk. Made from the disk as it is in that moment. */
  live: (disk: Disk) => Disk;
  /**
   * The disk of the definition, where it has one of this target; left out when it stays as it is.
   * @param before the live disk as it was until now
   */
  definition?: ((defined: Disk, before: Disk) => Disk) | undefined;
  /** Paths of images whose headers now name another image below. */
  rewritten?: readonly string[];
  /** Paths of images that nothing stands on any more, and that are to go. */
  merged?: readonly string[];
}

export interface JobKind {
  /** Whether a job that nobody can tell the end of has done its work. Looks at QEMU's graph. */
  happened(guest: QemuGuest, job: SavedJob): Promise<boolean>;
  /** What documents say when QEMU has gone over to the target of a ready job. */
  pivoted?(job: SavedJob): Changes;
  /** Before a ready job is told to go over to its target. May be done again. */
  beforePivot?(guest: QemuGuest, job: SavedJob): Promise<void>;
  /** All its work is done, and it waits to be made final. May be done again. Not for one that is given up. */
  beforeFinal?(guest: QemuGuest, job: SavedJob): Promise<void>;
  /**
   * Take away what the job leaves in QEMU. Done again after a crash, so what is gone already is no failure. Undefined when the
   * disk stays as it is.
   */
  finish(guest: QemuGuest, job: SavedJob, end: JobEnd): Promise<Changes | undefined>;
  /** Its end has been told: what it means for others. Not for a job that never began. */
  afterwards?(guest: QemuGuest, job: SavedJob, end: JobEnd): Promise<void>;
}

export type JobKinds = Readonly<Partial<Record<BlockJobType, JobKind>>>;
