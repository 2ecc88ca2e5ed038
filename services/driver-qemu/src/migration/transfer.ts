/** How far QEMU has got with a migration, followed by its events and asked again now and then. */
import { VirtError } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { isEvent, type MigrationInfo, type MigrationStatus } from '../qmp';

/** How often QEMU is asked for what its events do not tell, milliseconds. */
const askMs = 250;

const over: ReadonlySet<MigrationStatus> = new Set(['completed', 'failed', 'cancelled']);
const under: ReadonlySet<MigrationStatus> = new Set([
  ...(['setup', 'active', 'pre-switchover', 'device', 'wait-unplug', 'cancelling'] as const),
]);

export const isOver = (status: MigrationStatus | undefined): boolean => status !== undefined && over.has(status);
/** The guest runs on the target, or waits there for the rest of its memory. */
export const isPostcopy = (status: MigrationStatus | undefined): boolean => status?.startsWith('postcopy-') === true;
/** Sending, and not yet for good. */
export const isUnderWay = (status: MigrationStatus | undefined): boolean => status !== undefined && under.has(status);

/**
 * Wait until the migration has a status that `wanted` takes.
 * @param seen called with what QEMU tells in between. Where it is left out the status is all there is to know, and the
 *   event that tells it is enough: the guest may be standing still. A failure is asked for its reason.
 * @param patienceMs how long it may take to answer
 * @throws the signal's reason; what a lost monitor says
 */
export async function reach(
  guest: QemuGuest,
  wanted: (status: MigrationStatus | undefined) => boolean,
  signal: AbortSignal,
  seen?: (info: MigrationInfo) => void,
  patienceMs?: number,
): Promise<MigrationInfo> {
  let wake = (_status: MigrationStatus): void => undefined;
  using _events = guest.watch((event) => {
    if (isEvent(event, 'MIGRATION')) wake(event.data.status);
  });
  for (;;) {
    signal.throwIfAborted();
    const changed = new Promise<MigrationStatus>((resolve) => (wake = resolve));
    const info = await guest.ask('query-migrate', undefined, signal, patienceMs);
    seen?.(info);
    if (wanted(info.status)) return info;
    const status = await Promise.race([changed, pause(signal), ended(guest)]);
    if (!seen && status && status !== 'failed' && wanted(status)) return { status };
  }
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, askMs);
    signal.addEventListener('abort', done, { once: true });
  });
}

async function ended(guest: QemuGuest): Promise<never> {
  await guest.ended;
  throw new VirtError('OPERATION_FAILED', { detail: `QEMU of '${guest.live.name}' ended during the migration` });
}

/** QEMU's own reason why a migration came to nothing. */
export function failureOf(info: MigrationInfo): VirtError {
  if (info.status === 'cancelled') return new VirtError('OPERATION_ABORTED', { detail: 'migration out job: canceled' });
  const why = info['error-desc'] ?? `the migration ended as '${info.status ?? 'none'}'`;
  return new VirtError('OPERATION_FAILED', { detail: `job 'migration out' failed: ${why}` });
}
