/**
 * The block jobs of one guest, from before they begin until their end has been told.
 *
 * A job is written down before QEMU hears of it, and so is the wish to pivot or to abort it; the end is written down before
 * QEMU forgets it. Whenever this process dies the next one knows what was wanted, asks QEMU what became of it, and goes on.
 * (facts: block-jobs §2, §6)
 */
import { isVirtError, VirtError, type BlockJob, type BlockJobState } from '@virtbus/shared';
import type { EventNews } from '@virtbus/driver-runtime';
import type { QemuGuest } from '../guest';
import { isClosed } from '../monitor-failure';
import { conclude, defineTarget, neverBegan, tellReady, withdraw } from './conclude';
import type { JobKinds } from './kind';
import { isPull, NodeTurns } from './node-turns';
import { progressOf, withoutProgress } from './progress';
import { hasTwoPhases, type JobEnd, type SavedJob } from './saved-job';
import { endOf, stepOf, type Step } from './states';
import { JobWaiters } from './waiters';
import { JobWishes } from './wishes';
import { writtenOrNot } from './written';

/** By id of the job. */
type UnderWay = Map<string, Promise<void>>;

export class JobEngine {
  private readonly waiters = new JobWaiters();
  /** QEMU is being told of them. */
  private readonly beginning = new Set<string>();
  private readonly finalizing: UnderWay = new Map();
  private readonly concluding: UnderWay = new Map();
  /** They have ended, and what that means for others has not been done yet. */
  private readonly untold: [SavedJob, JobEnd][] = [];
  /** What QEMU says is acted on. */
  private caughtUp: boolean;
  private looking: Promise<BlockJob[]> | undefined;
  private again: NodeJS.Timeout | undefined;
  private over = false;
  private readonly nodes: NodeTurns;
  private readonly wishes: JobWishes;

  /** @param found the guest was running before we were: nothing is acted on until `catchUp` */
  constructor(
    private readonly guest: QemuGuest,
    private readonly kinds: JobKinds,
    found: boolean,
  ) {
    this.caughtUp = !found;
    this.nodes = new NodeTurns(
      guest,
      () => this.jobs,
      (job, error) => this.pullConcluded(job, error),
    );
    this.wishes = new JobWishes(guest, kinds, this.nodes, {
      isThere: (job) => !this.over && this.jobs.includes(job),
      enter: (job, to, write) => this.enter(job, to, write),
      note: () => this.note(),
      lookAgain: () => this.lookAgain(),
    });
  }

  get jobs(): readonly SavedJob[] {
    return this.guest.saved.blockJobs ?? [];
  }

  ofDisk(target: string): SavedJob | undefined {
    return this.jobs.find(({ disk }) => disk === target);
  }

  /** Throws when the disk has a job already. */
  refuseBusy(target: string): void {
    const job = this.ofDisk(target);
    if (!job) return;
    const code = hasTwoPhases(job) ? 'BLOCK_COPY_ACTIVE' : 'OPERATION_UNSUPPORTED';
    throw new VirtError(code, { detail: `disk '${target}' already in active block job` });
  }

  /** Throws when any disk has a job: for what cannot be done meanwhile. */
  refuseActive(): void {
    if (this.jobs.length > 0) throw new VirtError('OPERATION_INVALID', { detail: 'domain has active block job' });
  }

  /**
   * Begin jobs with one command. When QEMU does not run them then, nothing of them stays; when its answer is lost and QEMU
   * cannot be asked either, they stay, and what it says of them later decides.
   * @param send all that has to be done in QEMU; the command is the last of it
   */
  async begin(jobs: readonly SavedJob[], send: () => Promise<unknown>): Promise<void> {
    for (const { disk } of jobs) this.refuseBusy(disk);
    writtenOrNot(this.guest, [], () => {
      this.guest.saved.blockJobs = [...this.jobs, ...jobs];
      this.guest.tellSaved();
    });
    for (const { id } of jobs) {
      this.beginning.add(id);
      this.waiters.begins(id);
    }
    try {
      await send();
    } catch (error) {
      const listed = await this.guest.ask('query-jobs').catch(() => undefined);
      for (const job of jobs) {
        if (listed?.every(({ id }) => id !== job.id)) await this.withdraw(job).catch((err) => this.failed(err, job));
      }
      if (!listed) this.lookAgain();
      throw error;
    } finally {
      for (const { id } of jobs) this.beginning.delete(id);
    }
    for (const job of jobs) if (job.state === 'new') job.state = 'running';
    this.note();
  }

  /** Whatever has QEMU go through its nodes is sent by this. */
  lookAtNodes<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.nodes.look(ask, signal);
  }

  /** QEMU's word on a job. */
  heard(id: string, status: string): void {
    const job = this.byId(id);
    const step = job && this.caughtUp ? stepOf(job, status) : undefined;
    if (job && step) this.take(job, step).catch((err: unknown) => this.failed(err, job));
  }

  /**
   * Resolves when the job is in one of the states, undefined; or when it has ended, with how. Rejects when the guest ends or
   * the signal says so.
   */
  until(id: string, states: readonly BlockJobState[], signal?: AbortSignal): Promise<JobEnd | undefined> {
    return this.waiters.until(id, this.byId(id), states, signal);
  }

  /** Somebody waits for its end: it belongs to their command. */
  isAwaited(id: string): boolean {
    return this.waiters.has(id);
  }

  /**
   * Go over to the target of a ready job. Resolves when QEMU has been told.
   * @param by id of the command that wants it: given again, also after a restart of ours, it is not refused
   */
  pivot(job: SavedJob, by?: string): Promise<void> {
    return this.wishes.pivot(job, by);
  }

  /** Give a job up. Resolves when QEMU has been told. @param by as with `pivot` */
  abort(job: SavedJob, by?: string): Promise<void> {
    return this.wishes.abort(job, by);
  }

  /** How the job ended, and is over, that this command wanted to end; undefined for one that is not known. */
  endBy(command: string): JobEnd | undefined {
    if (this.jobs.some(({ endedBy }) => endedBy === command)) return undefined;
    return this.guest.saved.endedJobs?.find(({ by }) => by === command)?.end;
  }

  async list(signal: AbortSignal): Promise<BlockJob[]> {
    if (this.jobs.length === 0) return [];
    const told = await this.guest.ask('query-block-jobs', undefined, signal);
    return this.jobs.map((job) =>
      progressOf(
        job,
        told.find(({ device }) => device === job.id),
      ),
    );
  }

  /** A job that has just begun; it may have ended already. */
  async begun(job: SavedJob, signal: AbortSignal): Promise<BlockJob> {
    const jobs = await this.list(signal).catch(() => []);
    return jobs.find(({ id }) => id === job.id) ?? withoutProgress(job);
  }

  /**
   * After a restart of ours, or when the monitor was away: ask QEMU what became of the jobs, and go on from there.
   * @returns those that had begun
   */
  catchUp(): Promise<BlockJob[]> {
    this.caughtUp = true;
    this.looking ??= this.look()
      .catch((err: unknown) => {
        this.guest.log.warn({ err }, 'what became of block jobs cannot be found out yet');
        this.lookAgain();
        return [];
      })
      .finally(() => (this.looking = undefined));
    return this.looking;
  }

  /** The guest is gone, and its jobs with it. */
  close(): void {
    this.over = true;
    clearTimeout(this.again);
    this.waiters.fail(new VirtError('OPERATION_INVALID', { detail: 'domain is not running' }));
  }

  /** A QEMU that did not answer is asked again, for as long as the guest is there. */
  private lookAgain(): void {
    // Once, however many jobs ask for it: each look would have more of them come of it.
    this.again ??= setTimeout(() => {
      this.again = undefined;
      if (!this.over) void this.catchUp();
    }, lookAgainMs).unref();
  }

  private byId(id: string): SavedJob | undefined {
    return this.jobs.find((job) => job.id === id);
  }

  private async look(): Promise<BlockJob[]> {
    for (const [job, end] of this.untold.splice(0)) await this.afterwards(job, end);
    if (this.jobs.length === 0) return [];
    const listed = await this.guest.ask('query-jobs', undefined, undefined, patienceMs);
    const told = ({ id }: SavedJob) => listed.find((one) => one.id === id);
    // What begins is its command's.
    const jobs = this.jobs.filter(({ id }) => !this.beginning.has(id));
    const begun = jobs.filter((job) => told(job) ?? job.state !== 'new').map(withoutProgress);
    for (const job of jobs) {
      // What has ended meanwhile is told already.
      if (!this.jobs.includes(job)) continue;
      try {
        await this.follow(job, told(job)?.status);
      } catch (err) {
        // One that cannot be followed keeps none of the others waiting; a QEMU that says nothing says nothing of them either.
        if (isVirtError(err, 'OPERATION_TIMEOUT')) throw err;
        this.failed(err, job);
      }
    }
    return begun;
  }

  /** @param status undefined when QEMU does not know it */
  private async follow(job: SavedJob, status: string | undefined): Promise<void> {
    if (status === undefined) await this.lost(job);
    else if (job.end) await this.conclude(job);
    else await this.goOn(job, status);
  }

  /** QEMU does not know it: it never began, or its end was seen and it was dismissed. */
  private async lost(job: SavedJob): Promise<void> {
    if (job.end) return this.conclude(job);
    if (job.state === 'new') return this.withdraw(job, neverBegan(job));
    const done = await this.kinds[job.type]?.happened(this.guest, job);
    await this.ended(job, done ? { kind: 'completed' } : { kind: 'failed', error: 'QEMU no longer knows the job' });
  }

  private async goOn(job: SavedJob, status: string): Promise<void> {
    if (job.state === 'new') this.enter(job, { state: 'running' });
    const step = stepOf(job, status);
    if (step) return this.take(job, step);
    await this.wishes.tellAgain(job);
  }

  private async take(job: SavedJob, step: Step): Promise<void> {
    if (step === 'concluded') return this.conclude(job);
    if (step === 'pending') return once(this.finalizing, job, () => this.finalize(job));
    this.enter(job, { state: step }, step === 'ready' ? () => tellReady(this.guest, job) : undefined);
  }

  /**
   * QEMU holds the guest's writes back until it may go over to the target: the definition names the target before, so that
   * whoever dies next, no guest starts from an image that lacks what was flushed since.
   */
  private async finalize(job: SavedJob): Promise<void> {
    const kind = this.kinds[job.type];
    if (job.state === 'pivoting') defineTarget(this.guest, job, kind?.pivoted?.(job));
    if (job.state !== 'aborting') await kind?.beforeFinal?.(this.guest, job);
    const finalize = async (): Promise<void> => {
      // Of a mirror that is given up, too; another is cancelled, and ends by that.
      if (job.state === 'aborting' && !hasTwoPhases(job))
        return job.told ? undefined : this.wishes.tellToCancel(job, 'running');
      await this.guest.askRaw('job-finalize', { id: job.id });
    };
    await (isPull(job) ? this.nodes.end(finalize) : finalize());
  }

  /** Once, however often it is heard of. */
  private conclude(job: SavedJob): Promise<void> {
    return once(this.concluding, job, () => this.findEnd(job));
  }

  private async findEnd(job: SavedJob): Promise<void> {
    if (isPull(job)) await this.nodes.end();
    if (job.end) return this.settle(job);
    const listed = await this.guest.ask('query-jobs');
    const error = listed.find(({ id }) => id === job.id)?.error;
    const end = endOf(job, error);
    if (end) return this.ended(job, end);
    const done = await this.kinds[job.type]?.happened(this.guest, job);
    await this.ended(job, { kind: done ? 'completed' : 'canceled' });
  }

  private async ended(job: SavedJob, end: JobEnd): Promise<void> {
    this.writeDown(job, end);
    await this.settle(job);
  }

  private writeDown(job: SavedJob, end: JobEnd): void {
    const { saved } = this.guest;
    const by = job.endedBy;
    this.enter(job, { state: 'concluded', end }, () => {
      if (by !== undefined) saved.endedJobs = [...(saved.endedJobs ?? []), { by, end }].slice(-endsKept);
      this.guest.tellSaved();
    });
  }

  /** Whoever has found it, QEMU's word on it will not be news any more: it is followed from here. */
  private pullConcluded(job: SavedJob, error: string | undefined): void {
    const end = endOf(job, error);
    if (!job.end && end) this.writeDown(job, end);
    if (this.caughtUp) this.conclude(job).catch((err: unknown) => this.failed(err, job));
  }

  /** Its end is on disk: QEMU may forget it, what it leaves is taken away, and the end is told. */
  private async settle(job: SavedJob): Promise<void> {
    const { end } = job;
    const kind = this.kinds[job.type];
    if (!end || !kind) return;
    // What follows is told QEMU without waiting for this: it does one after the other.
    const dismissed = isPull(job) ? undefined : this.dismiss(job);
    await conclude(this.guest, job, end, kind);
    await dismissed;
    await this.afterwards(job, end);
    this.waiters.ended(job.id, end);
  }

  /** What could not be told of it, as on a disk that is full, is told later. */
  private async afterwards(job: SavedJob, end: JobEnd): Promise<void> {
    try {
      await this.kinds[job.type]?.afterwards?.(this.guest, job, end);
    } catch (err) {
      this.untold.push([job, end]);
      this.failed(err, job);
    }
  }

  private async dismiss(job: SavedJob): Promise<void> {
    await this.guest.ask('job-dismiss', { id: job.id }).catch((err: unknown) => {
      this.guest.log.debug({ err, job: job.id }, 'job was dismissed before');
    });
  }

  /** @param write puts it on disk, with what is told along with it; the job is as it was when that fails */
  private enter(
    job: SavedJob,
    to: Pick<SavedJob, 'state' | 'end' | 'endedBy'>,
    write = (): void => this.guest.tellSaved(),
  ): void {
    writtenOrNot(this.guest, [job], () => {
      Object.assign(job, to);
      write();
    });
    this.waiters.entered(job);
  }

  /** What QEMU has done is done, whether it can be written or not: whoever does not find it on disk asks QEMU, or tells it again. */
  private note(): void {
    try {
      this.guest.tellSaved();
    } catch (err) {
      this.guest.log.warn({ err }, 'what QEMU has done of a block job cannot be written down');
    }
  }

  /** @param event where its command was answered without that being known */
  private async withdraw(job: SavedJob, event?: EventNews): Promise<void> {
    await withdraw(this.guest, job, this.kinds[job.type], event);
  }

  /** QEMU did not answer over it: what is on disk is taken up again. */
  private failed(err: unknown, job: SavedJob): void {
    // A guest that ends closes its monitor first, in the middle of what its jobs are asked for.
    const level = isClosed(err) ? 'debug' : 'error';
    if (!this.over) this.guest.log[level]({ err, job: job.id }, 'the end of a block job could not be followed yet');
    this.lookAgain();
  }
}

/** Whoever comes to it meanwhile joins. */
function once(underWay: UnderWay, { id }: SavedJob, begin: () => Promise<void>): Promise<void> {
  const running = underWay.get(id);
  if (running) return running;
  const work = begin().finally(() => underWay.delete(id));
  underWay.set(id, work);
  return work;
}

/** Ends that are remembered for commands that are given again. */
const endsKept = 16;

/** A guest that did not say what became of its jobs is asked again after this, milliseconds. */
const lookAgainMs = 2_000;

/** A guest that hangs keeps nobody waiting longer, milliseconds. */
const patienceMs = 5_000;
