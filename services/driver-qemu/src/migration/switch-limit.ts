/**
 * How long a live guest may stand still at the switch, where nobody has said. QEMU goes over as soon as it believes that what
 * is left can be sent in that time, though another pass might leave much less. So the limit begins low and doubles with each
 * pass, up to QEMU's own: a guest that writes faster than that is sent costs at most five passes of that length more.
 * (QEMU's QMP reference: `downtime-limit`, MIGRATION_PASS)
 */
import type { MigrationOptions } from '@virtbus/shared';
import type { QemuGuest } from '../guest';
import { isEvent } from '../qmp';

/** QEMU's own, milliseconds. */
const usualMs = 300;
/** About what the switch takes of a guest that is idle, milliseconds. */
const lowMs = 10;

/** What is allowed once memory is gone over for the nth time, milliseconds. */
export function switchLimitMs({ live, downtimeMs }: MigrationOptions, pass: number): number {
  return downtimeMs ?? (live ? Math.min(usualMs, lowMs * 2 ** (pass - 1)) : usualMs);
}

/** Raise it with each pass, until somebody says what it is to be. */
export function raiseSwitchLimit(guest: QemuGuest, options: MigrationOptions): Disposable {
  let latest = switchLimitMs(options, 1);
  return guest.watch((event) => {
    if (!isEvent(event, 'MIGRATION_PASS') || options.downtimeMs !== undefined) return;
    const limit = switchLimitMs(options, event.data.pass);
    if (limit <= latest) return;
    latest = limit;
    // A guest that has gone over, or ended, needs it no longer.
    guest.ask('migrate-set-parameters', { 'downtime-limit': limit }).catch(() => undefined);
  });
}
