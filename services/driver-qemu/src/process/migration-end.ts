/**
 * How a migration of QEMU (a save, a restore) ends, told by its MIGRATION events rather than by asking again and again.
 */
import { type MigrationStatus, type QmpClient } from '../qmp';

const FINAL: ReadonlySet<MigrationStatus> = new Set(['completed', 'failed', 'cancelled'] as const);
/** The longest time-out that a timer takes: 24 days. */
const NO_TIME_LIMIT_MS = 2 ** 31 - 1;

/**
 * Switches the events on and waits for a final status. Resolves to `begun`, so that no event is missed: start the
 * migration only after it has resolved, then await `end`.
 * `end` rejects with MonitorClosed when QEMU goes away first, and with the signal's reason.
 */
export async function watchMigration(qmp: QmpClient, signal?: AbortSignal): Promise<{ end: Promise<MigrationStatus> }> {
  await qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] });
  const end = qmp
    .nextEvent('MIGRATION', ({ status }) => FINAL.has(status), {
      timeoutMs: NO_TIME_LIMIT_MS,
      ...(signal && { signal }),
    })
    .then(({ data }) => data.status);
  end.catch(() => undefined);
  return { end };
}
