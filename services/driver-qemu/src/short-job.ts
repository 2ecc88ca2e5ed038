/**
 * QEMU's jobs that we wait for: making an image, keeping or loading an internal snapshot. They are started by a command, end
 * as `concluded`, and are dismissed by us, so that an end that we missed can still be asked for.
 */
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from './guest';

interface ListedJob {
  id: string;
  status: string;
  error?: string;
}

/** QEMU tells the end of a job or goes away; no timer cuts it short. The longest that a timer takes, 24 days. */
const noTimeLimitMs = 2 ** 31 - 1;

/**
 * Start a job and wait until it has ended.
 * @throws OPERATION_FAILED with QEMU's reason when the job fails; the signal's reason, once the job has been cancelled
 */
export async function runJob(
  guest: QemuGuest,
  command: string,
  args: Record<string, unknown> & { 'job-id': string },
  signal?: AbortSignal,
): Promise<void> {
  const id = args['job-id'];
  using end = conclusion(guest, id);
  await guest.askRaw(command, args, signal);
  await finish(guest, id, end.told, signal);
}

/** Wait for a job that an earlier process of ours started; false when QEMU knows of none. */
export async function joinJob(guest: QemuGuest, id: string): Promise<boolean> {
  using end = conclusion(guest, id);
  const job = await listed(guest, id);
  if (!job) return false;
  await finish(guest, id, job.status === 'concluded' ? Promise.resolve() : end.told, undefined);
  return true;
}

async function finish(
  guest: QemuGuest,
  id: string,
  ended: Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const cancel = (): void => void guest.askRaw('job-cancel', { id }).catch(() => undefined);
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted) cancel();
  try {
    await ended;
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
  // Told one after the other without waiting in between: QEMU answers in order.
  const [job] = await Promise.all([listed(guest, id), guest.askRaw('job-dismiss', { id })]);
  if (job?.error === undefined) return;
  signal?.throwIfAborted();
  throw new VirtError('OPERATION_FAILED', { detail: job.error });
}

async function listed(guest: QemuGuest, id: string): Promise<ListedJob | undefined> {
  return ((await guest.askRaw('query-jobs')) as ListedJob[]).find((job) => job.id === id);
}

/** Listens from now on, so that an end before the command's own answer is not missed. */
function conclusion(guest: QemuGuest, id: string): Disposable & { told: Promise<void> } {
  const deaf = new AbortController();
  const ended = guest.monitor.nextEvent('JOB_STATUS_CHANGE', (data) => data.id === id && data.status === 'concluded', {
    timeoutMs: noTimeLimitMs,
    signal: deaf.signal,
  });
  const told = ended.then(
    () => undefined,
    (cause: unknown) => {
      const detail = `QEMU of '${guest.live.name}' went away before its job ${id} had ended`;
      throw new VirtError('OPERATION_FAILED', { detail }, { cause });
    },
  );
  told.catch(() => undefined);
  return { told, [Symbol.dispose]: () => deaf.abort() };
}
