/**
 * When a guest may be asked for its block nodes: never while one of its pulls is concluded and not dismissed.
 *
 * QEMU 7.2 and 10.0 (measured) die of SIGSEGV over `query-named-block-nodes`, and over `info block -n`, as long as a
 * `block-stream` is concluded, done, failed or cancelled alike: the job keeps its copy-on-read filter, which has nothing below
 * it any more, until it is dismissed. Neither other jobs nor other queries do that. So a pull waits as `pending` at the end of
 * its work; it is finalized and dismissed, or cancelled, in a turn, and nodes are asked for in another, after what has concluded by
 * itself has been dismissed. What concludes by itself is a pull that fails, or that an earlier release began: QEMU has
 * to do so in the moment between two commands to get in the way.
 */
import { VirtError } from '@virtbus/shared';
import { setTimeout as delay } from 'node:timers/promises';
import type { QemuGuest } from '../guest';
import { isRefusal } from '../monitor-failure';
import type { SavedJob } from './saved-job';

export const isPull = ({ type }: Pick<SavedJob, 'type'>): boolean => type === 'pull';

/** Whether QEMU goes through all its nodes for this command. */
export function asksForNodes(command: string, args: object | undefined): boolean {
  if (command === 'query-named-block-nodes') return true;
  const line = (args as { 'command-line'?: unknown } | undefined)?.['command-line'];
  return command === 'human-monitor-command' && typeof line === 'string' && /^\s*info\s+block\b/.test(line);
}

/** A pull that was cancelled is gone within this, milliseconds: it finishes what it is reading. */
const cancelMs = 10_000;
const askAgainMs = 20;
/** A guest that hangs keeps nobody waiting longer, milliseconds. */
const patienceMs = 5_000;

export class NodeTurns {
  private last: Promise<unknown> = Promise.resolve();

  /** @param concluded writes the end of a pull down: QEMU is about to forget it */
  constructor(
    private readonly guest: Pick<QemuGuest, 'ask' | 'log'>,
    private readonly jobs: () => readonly SavedJob[],
    private readonly concluded: (job: SavedJob, error: string | undefined) => void,
  ) {}

  /** @param ask sends what has QEMU go through its nodes */
  look<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    // A pull that begins now is in QEMU's line behind the question.
    if (!this.jobs().some(isPull)) return ask();
    return this.take(async () => {
      signal?.throwIfAborted();
      const deadline = performance.now() + cancelMs;
      while (!(await this.dismiss())) {
        signal?.throwIfAborted();
        if (performance.now() > deadline)
          throw new VirtError('OPERATION_TIMEOUT', { detail: 'a pull that is given up has not ended yet' });
        await delay(askAgainMs);
      }
      signal?.throwIfAborted();
      return ask();
    });
  }

  /** @param send tells QEMU to bring a pull to its end; left out: it has come to it */
  end(send?: () => Promise<unknown>): Promise<void> {
    return this.take(async () => {
      await send?.();
      await this.dismiss();
    });
  }

  private take<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.last.then(work);
    this.last = mine.catch(() => undefined);
    return mine;
  }

  /** False while one is about to conclude. */
  private async dismiss(): Promise<boolean> {
    const pulls = this.jobs().filter(isPull);
    if (pulls.length === 0) return true;
    const listed = await this.guest.ask('query-jobs', undefined, undefined, patienceMs);
    let isQuiet = true;
    const over: SavedJob[] = [];
    for (const job of pulls) {
      const told = listed.find(({ id }) => id === job.id);
      if (told?.status === 'concluded') {
        over.push(job);
        this.concluded(job, told.error);
      } else if (told && told.status !== 'pending' && job.state === 'aborting' && job.told) isQuiet = false;
    }
    await Promise.all(over.map((job) => this.forget(job)));
    return isQuiet;
  }

  private async forget({ id }: SavedJob): Promise<void> {
    try {
      await this.guest.ask('job-dismiss', { id });
    } catch (err) {
      if (!isRefusal(err)) throw err;
      this.guest.log.debug({ err, job: id }, 'job was dismissed before');
    }
  }
}
