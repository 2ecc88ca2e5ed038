/** What is kept on disk of a block job, from before QEMU hears of it until its end has been told. */
import type { Disk } from '@virtbus/domain-xml';
import type { BlockJobState, BlockJobType } from '@virtbus/shared';

/** How a job ended. */
export interface JobEnd {
  kind: 'completed' | 'failed' | 'canceled';
  /** QEMU's words. */
  error?: string | undefined;
}

/** Plain JSON; `details` is what the job's own kind needs to finish it. */
export interface SavedJob<Details = unknown> {
  /** Its name in QEMU. */
  id: string;
  type: BlockJobType;
  /** Target of the disk. */
  disk: string;
  state: BlockJobState;
  /** QEMU has answered that it will pivot or cancel: it is not told again. */
  told?: boolean | undefined;
  /** Id of the command that ends it, by pivot or abort. */
  endedBy?: string | undefined;
  /** Known once it is `concluded`. */
  end?: JobEnd | undefined;
  /** It waits as `pending`, its work done, until we tell QEMU to make it final. */
  finalizedByUs?: boolean | undefined;
  /** Id of the command that began it. */
  command?: string | undefined;
  /** The active image when it began. */
  path?: string | undefined;
  /** Where a copy or a backup is written to, or the base of an active commit. */
  mirror?: string | undefined;
  /** Files that it has open beside those of the document: they stay lent while it runs. */
  files: string[];
  /** The disk of the definition before it was changed to what the job goes over to: for when that comes to nothing. */
  defined?: Disk | undefined;
  details: Details;
}

/** Ends by pivot or abort once it is ready. */
export const hasTwoPhases = ({ type }: Pick<SavedJob, 'type'>): boolean => type === 'copy' || type === 'active-commit';
