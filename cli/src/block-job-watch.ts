/**
 * Waiting for a block job: its end, and that it is ready, are told by the event log, from before the job began on, so that
 * none is missed however quick it is. How far it is goes to the terminal of somebody who watches.
 */
import type { BlockJob } from '@virtbus/shared';
import { Interrupted } from './failure';
import { busModule, shared } from './lazy';
import type { Output } from './output';
import { blockJobLine } from './print/block-jobs';
import type { Session } from './session';

export interface Phase {
  type: 'ready' | 'completed' | 'failed' | 'canceled';
  /** Why it failed. */
  error?: string | undefined;
}

export interface Watch {
  /** Uuid of the domain. */
  uuid: string;
  /** Target of the disk. */
  disk: string;
  /** Sequence of the event log to look from. */
  since: number;
  /** Give up after so many seconds. */
  seconds?: number | undefined;
  /** Whoever began the job aborts it when he gives up; who only looks on leaves it. */
  aborts: boolean;
  /** Show how far it is, also to who does not look at a terminal. */
  verbose: boolean;
}

const everyMs = 250;

/** Resolves when the job has ended, or is ready. Throws `Interrupted` after Ctrl-C or the time limit. */
export async function nextPhase(session: Session, out: Output, watch: Watch): Promise<Phase> {
  const { uuid, disk, seconds } = watch;
  const over = new AbortController();
  let interrupted: string | undefined;
  const giveUp = (why: string): void => {
    interrupted ??= why;
    if (!watch.aborts) return over.abort();
    void session.call('abortBlockJob', { disk, wait: false }, uuid).catch(() => over.abort());
  };
  const interrupt = (): void => giveUp('interrupted');
  process.on('SIGINT', interrupt);
  const timer = seconds === undefined ? undefined : setTimeout(() => giveUp('timed out'), seconds * 1_000);
  const drawing = draw(session, out, watch, over.signal);
  try {
    const filter = shared().eventFilter({ uuid, class: 'block-job' });
    const since = { sequence: watch.since };
    for await (const { event } of busModule().tail(await session.bus(), { filter, since, signal: over.signal })) {
      const { disk: target, error } = (event.data ?? {}) as { disk?: string; error?: string };
      if (target !== disk) continue;
      if (interrupted !== undefined && event.type !== 'ready') throw new Interrupted(`${interrupted}; job aborted`);
      return { type: event.type as Phase['type'], error };
    }
    throw new Interrupted(interrupted ?? 'interrupted');
  } finally {
    over.abort();
    clearTimeout(timer);
    process.off('SIGINT', interrupt);
    await drawing;
    out.clearStatus();
  }
}

async function draw(session: Session, out: Output, { uuid, disk, verbose }: Watch, signal: AbortSignal): Promise<void> {
  if (!out.watched && !verbose) return;
  const began = Date.now();
  let shown = '';
  while (!signal.aborted) {
    const job = await jobOf(session, uuid, disk).catch(() => undefined);
    if (signal.aborted) return;
    const line = job && blockJobLine(job, Date.now() - began);
    if (line !== undefined && out.watched) out.status(line);
    else if (job && line !== undefined && share(job) !== shown) out.note(line);
    shown = job ? share(job) : shown;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, everyMs);
      signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}

const share = ({ processed, total }: BlockJob): string => String(Math.floor((100 * processed) / Math.max(1, total)));

export async function jobOf(session: Session, domain: string, disk: string): Promise<BlockJob | undefined> {
  return (await session.call('listBlockJobs', { disk }, domain)).jobs[0];
}
