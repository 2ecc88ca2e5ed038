/** Somebody waits for a migration: how far it is goes to his terminal, and Ctrl-C gives it up rather than walking away. */
import type { Migration } from '@virtbus/shared';
import { fail, Interrupted } from './failure';
import { shared } from './lazy';
import type { Output } from './output';
import { migrationLine } from './print/migrations';
import type { Session } from './session';

const everyMs = 250;

/**
 * Resolves when the guest lives on the target. Throws with the reason when it does not.
 * @param how.verbose show how far it is, also to who does not look at a terminal
 * @param how.postcopyAfterPrecopy switch to post-copy once all memory was sent for the first time
 */
export async function untilMoved(
  session: Pick<Session, 'call'>,
  out: Pick<Output, 'watched' | 'status' | 'note' | 'clearStatus'>,
  begun: Migration,
  { verbose, postcopyAfterPrecopy }: { verbose: boolean; postcopyAfterPrecopy: boolean },
): Promise<Migration> {
  let interrupted = false;
  let said: string | undefined;
  let switched = !postcopyAfterPrecopy;
  const interrupt = (): void => {
    if (interrupted) process.exit(130);
    interrupted = true;
    void session.call('abortMigration', {}, begun.id).catch(() => undefined);
  };
  process.on('SIGINT', interrupt);
  try {
    let migration = begun;
    while (migration.state === 'running') {
      if (out.watched) out.status(migrationLine(migration));
      else if (verbose && migration.step !== said) out.note(migrationLine(migration));
      said = migration.step;
      // QEMU counts the pass that it is at.
      if (!switched && (migration.progress?.pass ?? 0) > 1) {
        switched = await switchOver(session, begun.id);
      }
      await new Promise((resolve) => setTimeout(resolve, everyMs));
      ({ migration } = await session.call('showMigration', {}, begun.id));
    }
    if (migration.state === 'completed') return migration;
    if (interrupted) throw new Interrupted('migration aborted');
    // A reason that is an error's own words begins as ours does.
    const detail = (migration.reason ?? migration.state).replace(/^operation (failed|aborted): /, '');
    throw fail(migration.state === 'cancelled' ? 'OPERATION_ABORTED' : 'OPERATION_FAILED', { detail });
  } finally {
    process.off('SIGINT', interrupt);
    out.clearStatus();
  }
}

/** Whether it was taken. One that is refused may have come to its end meanwhile, which the next look tells. */
async function switchOver(session: Pick<Session, 'call'>, migration: string): Promise<boolean> {
  try {
    await session.call('startPostcopy', {}, migration);
    return true;
  } catch (error) {
    if (shared().isVirtError(error, 'OPERATION_INVALID')) return false;
    throw error;
  }
}
