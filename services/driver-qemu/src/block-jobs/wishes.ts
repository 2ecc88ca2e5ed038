/**
 * What is wanted of jobs that run: to go over to their target, or to be given up. It is on disk before QEMU is told, and QEMU is told
 * until it has heard.
 */
import { VirtError, type BlockJobState } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { isRefusal } from '../monitor-failure';
import { showMirror } from './conclude';
import type { JobKinds } from './kind';
import { isPull, type NodeTurns } from './node-turns';
import { hasTwoPhases, type SavedJob } from './saved-job';

/** A job that was told to pivot without our knowing whether QEMU heard it gets this long to do it, milliseconds. */
const pivotAgainMs = 2_000;

/** What follows the jobs, as far as wishes need it. */
export interface JobTable {
  /** It has not ended, and its guest neither. */
  isThere(job: SavedJob): boolean;
  /** @param write puts it on disk; the job is as it was when that fails */
  enter(job: SavedJob, to: Pick<SavedJob, 'state' | 'end' | 'endedBy'>, write: () => void): void;
  /** Put on disk what QEMU has done, where that can be written. */
  note(): void;
  /** What is on disk is taken up again. */
  lookAgain(): void;
}

export class JobWishes {
  constructor(
    private readonly guest: QemuGuest,
    private readonly kinds: JobKinds,
    private readonly nodes: NodeTurns,
    private readonly table: JobTable,
  ) {}

  async pivot(job: SavedJob, by: string | undefined): Promise<void> {
    if (isEndedBy(job, by)) return;
    if (!hasTwoPhases(job)) {
      throw new VirtError('OPERATION_INVALID', { detail: `job type '${job.type}' does not support pivot` });
    }
    refuseEnding(job);
    if (job.state !== 'ready') {
      throw new VirtError('BLOCK_COPY_ACTIVE', { detail: `block job '${job.disk}' not ready for pivot yet` });
    }
    await this.kinds[job.type]?.beforePivot?.(this.guest, job);
    this.table.enter(job, { state: 'pivoting', endedBy: by }, () => showMirror(this.guest, job, 'pivot'));
    await this.tell(job, 'job-complete', { id: job.id }, 'ready');
  }

  async abort(job: SavedJob, by: string | undefined): Promise<void> {
    if (isEndedBy(job, by)) return;
    refuseEnding(job);
    const before = job.state;
    const wanted = { state: 'aborting', endedBy: by } as const;
    try {
      this.table.enter(job, wanted, () => showMirror(this.guest, job, 'abort'));
    } catch (error) {
      // How a mirror ended is known by our wish alone; of the others QEMU says it, and a disk that is full may need their room.
      if (hasTwoPhases(job)) throw error;
      this.table.enter(job, wanted, () => undefined);
    }
    await this.cancel(job, before);
  }

  /** After a crash of ours, or a lost answer. */
  tellAgain(job: SavedJob): Promise<void> {
    if (job.told) return Promise.resolve();
    if (job.state === 'aborting') return this.cancel(job, 'running');
    // QEMU stays `ready` for a while after it was told; told twice, it would never let go of the old image.
    if (job.state === 'pivoting') setTimeout(() => void this.pivotAgain(job), pivotAgainMs).unref();
    return Promise.resolve();
  }

  private async pivotAgain(job: SavedJob): Promise<void> {
    try {
      if (!this.table.isThere(job) || job.state !== 'pivoting' || job.told) return;
      await this.tell(job, 'job-complete', { id: job.id }, 'ready');
    } catch (err) {
      this.guest.log.warn({ err, job: job.id }, 'the job cannot be told again to pivot');
    }
  }

  /** A copy that is ready is left as it is then: consistent, and of one moment. */
  private cancel(job: SavedJob, before: BlockJobState): Promise<void> {
    const tell = () => this.tellToCancel(job, before);
    return isPull(job) ? this.nodes.end(tell) : tell();
  }

  /** Of a pull in a turn of its own. */
  tellToCancel(job: SavedJob, before: BlockJobState): Promise<void> {
    return this.tell(job, 'block-job-cancel', { device: job.id, force: false }, before);
  }

  /** Tell QEMU how to end a job. When it refuses, the job is as it was before; when it does not answer, it is told again. */
  private async tell(job: SavedJob, command: string, args: object, before: BlockJobState): Promise<void> {
    try {
      await this.guest.askRaw(command, args);
    } catch (error) {
      if (isRefusal(error) && this.table.isThere(job) && job.state !== 'concluded') {
        const ready = before === 'ready' ? 'yes' : undefined;
        this.table.enter(job, { state: before, endedBy: undefined }, () => showMirror(this.guest, job, ready));
      }
      if (!isRefusal(error)) this.table.lookAgain();
      throw error;
    }
    job.told = true;
    this.table.note();
  }
}

/** It is being ended by this very command already. */
const isEndedBy = ({ endedBy }: SavedJob, by: string | undefined): boolean => by !== undefined && endedBy === by;

function refuseEnding({ state, disk }: SavedJob): void {
  if (state !== 'pivoting' && state !== 'aborting' && state !== 'concluded') return;
  throw new VirtError('OPERATION_INVALID', { detail: `block job on disk '${disk}' is still being ended` });
}
