/**
 * A person watches a long job: a bar on the terminal while its command runs, and Ctrl-C aborts the job rather than
 * walking away from it.
 */
import type { JobInfo } from '@virtbus/shared';
import { Interrupted } from './failure';
import type { Output } from './output';
import { progressLine } from './print/job';
import type { Session } from './session';

const everyMs = 250;

/** @param target the domain whose job it is; undefined when that is known only at the end */
export async function watchJob<T>(
  session: Session,
  out: Output,
  label: string,
  target: string | undefined,
  work: Promise<T>,
): Promise<T> {
  const began = Date.now();
  const over = new AbortController();
  let interrupted = false;
  const interrupt = (): void => {
    if (interrupted || target === undefined) process.exit(130);
    interrupted = true;
    void session.call('abortJob', {}, target).catch(() => undefined);
  };
  process.on('SIGINT', interrupt);
  const watching = out.watched ? draw() : undefined;
  try {
    return await work;
  } catch (error) {
    if (interrupted) throw new Interrupted(`${label.toLowerCase()} aborted`);
    throw error;
  } finally {
    over.abort();
    process.off('SIGINT', interrupt);
    await watching;
    out.clearStatus();
  }

  async function draw(): Promise<void> {
    while (!over.signal.aborted) {
      const job: JobInfo | undefined =
        target === undefined
          ? undefined
          : await session.call('getJob', {}, target).then(
              (answer) => answer.job,
              () => undefined,
            );
      if (over.signal.aborted) return;
      out.status(progressLine(label, job, Date.now() - began));
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, everyMs);
        over.signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
      });
    }
  }
}
