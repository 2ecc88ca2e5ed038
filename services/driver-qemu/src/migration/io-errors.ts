/** A guest that stops on an I/O error is not moved any further, where its user has asked for that. */
import type { MigrationAsk } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { isEvent } from '../qmp';

/**
 * @returns the signal of the migration, also aborted when the guest stops on an error until this is disposed
 */
export function untilIoError(
  guest: QemuGuest,
  { options, signal }: Pick<MigrationAsk, 'options' | 'signal'>,
): Disposable & { signal: AbortSignal } {
  if (!options.abortOnError) return { signal, [Symbol.dispose]: () => undefined };
  const stop = new AbortController();
  const giveUp = (why: string): void => {
    const remedy =
      'it stands still where it was: see which disk it is (domblkerror), mend it, and let the guest run (resume)';
    const detail = `job 'migration out' given up: the guest stopped on an I/O error${why}; ${remedy}`;
    stop.abort(new VirtError('OPERATION_FAILED', { detail }));
  };
  const watch = guest.watch((event) => {
    if (isEvent(event, 'BLOCK_IO_ERROR') && event.data.action === 'stop') giveUp(` (${event.data.reason})`);
  });
  if (guest.state.reason === 'ioerror') giveUp('');
  return { signal: AbortSignal.any([signal, stop.signal]), [Symbol.dispose]: () => watch[Symbol.dispose]() };
}
